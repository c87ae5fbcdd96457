"""What a result takes over from earlier ones: only figures of the same windows, and never without saying where they are from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import reference
from benchmarks.earlier import ABOUT, check_windows, read_earlier, table_of, with_base
from benchmarks.reference_report import block
from lloco_core.errors import DatasetError
from lloco_core.evaluation.continuation import Window
from tests.unit.benchmarks.test_reference_report import ABOUT as RUN
from tests.unit.benchmarks.test_reference_report import measured, rows_of, with_intervals

SAID = {name: RUN.get(name, name) for name in ABOUT}


def windows(**figures: float) -> dict[str, Any]:
    return with_intervals(**figures) | {"tokens": 1024, "documents": 2}


def test_ratios_are_those_of_the_language_model_on_the_same_windows():
    earlier = {"perplexity": {"by_kind": {"books": windows(base_none=20.0, base_text=16.0, none=25.0)}}}
    own = windows(none=21.0, text=16.0, vectors_1=19.0, kept_own_gain=0.4)
    own["intervals"]["kept_own_gain"] = [0.32, 0.48]
    found = with_base(own, "books", earlier)
    assert (found["damage"], found["kept_gain"]) == (1.05, 0.5)
    assert found["intervals"] == own["intervals"] | {"base_none": [19, 21], "base_text": [15, 17], "kept_gain": [0.4, 0.6]}


def test_other_windows_are_refused():
    earlier = {"perplexity": {"by_kind": {"books": windows(base_none=20.0)}}}
    given = [Window(name, np.arange(9), np.arange(513)) for name in ("one", "two")]
    check_windows(given, "books", earlier)
    with pytest.raises(DatasetError, match="has None tokens of None documents of articles, this one 1024 of 2; measure at the same scale"):
        check_windows(given, "articles", earlier)
    with pytest.raises(DatasetError, match="1024 tokens of 2 documents of books, this one 512 of 1"):
        check_windows(given[:1], "books", earlier)


def test_tables_of_other_encoders_say_where_they_were_measured(tmp_path: Path):
    alone, beside = tmp_path / "icae.json", tmp_path / "stage.json"
    alone.write_text(json.dumps(measured(0.0) | SAID | {"seconds": 3}))
    beside.write_text(json.dumps(measured(0.25) | SAID | {"untrained": {"needle": measured(0.0)["needle"]}}))
    options = reference.parse(["--text", "a=b", "--cache", "c", "--earlier", f"icae={alone}", f"untrained={beside}"])
    earlier = read_earlier(dict(options.earlier))
    icae, untrained = (table_of(name, earlier[name]) for name in ("icae", "untrained"))
    assert icae == measured(0.0) | {"measured": SAID}
    assert untrained == {"needle": measured(0.0)["needle"], "measured": SAID}
    text = block(measured(0.5) | RUN | {"untrained": untrained, "icae": icae})
    assert rows_of(text)["needles found in 1.5k to 32k tokens"] == ["0.5 [0.1, 0.9]", "0 [0.1, 0.9]", "0 [0.1, 0.9]"]
    assert "Measured earlier. ICAE: Some card, bfloat16, torch 2.11, transformers 5.17, commit 0123456." in text
    assert "--earlier icae=icae.json untrained=stage.json" in reference.about("benchmarks.reference", options, 1.0)["command"]


def test_a_name_that_nothing_is_taken_for_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        reference.parse(["--text", "a=b", "--cache", "c", "--earlier", "lora=x.json"])
    assert "'lora=x.json' is not NAME=FILE with a name of base, untrained, icae" in capsys.readouterr().err
