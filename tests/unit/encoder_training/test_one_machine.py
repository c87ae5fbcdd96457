"""A whole run without Ray: the first of two starts is cut off in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lloco_core.compressor import load_encoder
from lloco_core.encoder_training.machine import TRAINING_FOLDER, train_on_this_machine
from lloco_core.errors import ConfigurationError
from tests.contract.tiny_training import SEGMENT, run_config, write_base, write_text


class Cut(Exception):
    """What ends the first start."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single")
    write_base(folder / "base")
    write_text(folder / "text.jsonl")
    return folder


def without_seconds(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in curve]


def test_a_run_that_was_cut_off_repeats_curve_and_weights(home: Path, tmp_path: Path) -> None:
    def until_step_five(line: dict[str, Any]) -> None:
        if line["step"] == 5:
            raise Cut

    seen: list[int] = []
    config = run_config(home, str(tmp_path / "cut"))
    with pytest.raises(Cut):
        train_on_this_machine(config, until_step_five)
    record, curve = train_on_this_machine(config, lambda line: seen.append(line["step"]))
    assert seen == [5, 6], "it did not go on from the checkpoint of step 4"
    straight, expected = train_on_this_machine(run_config(home, str(tmp_path / "straight")), lambda _: None)
    assert without_seconds(curve) == without_seconds(expected)
    assert [line["step"] for line in curve if "validation" in line] == [4, 6]
    assert (record.run, record.tokens, record.validation) == (straight.run, straight.tokens, straight.validation)
    mine, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("cut", "straight"))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert load_encoder(str(tmp_path / "cut")).segment_length == SEGMENT

    def never(_: dict[str, Any]) -> None:
        raise AssertionError("a finished run was trained again")

    assert train_on_this_machine(config, never) == (record, curve)
    (kept,) = (tmp_path / "cut" / TRAINING_FOLDER / record.run).iterdir()
    assert kept.name == "checkpoint-000000006-encoder"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cluster": {"train_workers": 2}}, "train_workers is 2, and 1 of them run here"),
        ({"output": "s3://models/x"}, "s3://models/x is no folder"),
    ],
)
def test_what_needs_a_cluster_is_refused(home: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        train_on_this_machine(run_config(home, **({"output": str(tmp_path / "x")} | change)), lambda _: None)
