"""A curve file after kills and resumes, and its plot."""

from __future__ import annotations

from pathlib import Path

import pytest

from lloco_core.encoder_training.curves import CurveFile, plot_curves, read
from lloco_core.errors import StorageError


def line(step: int, lm: float) -> dict:
    return {"step": step, "tokens": 1000 * step, "curves": {"lm": lm}}


def test_a_resumed_run_replaces_the_steps_that_it_repeats(tmp_path: Path) -> None:
    path = tmp_path / "run" / "curve.jsonl"
    first = CurveFile(path)
    for step in (1, 2, 3, 4):
        first.add(line(step, 5.0))
    resumed = CurveFile(path)
    for step in (3, 4, 5):
        resumed.add(line(step, 2.0))
    assert read(path) == [line(1, 5.0), line(2, 5.0), line(3, 2.0), line(4, 2.0), line(5, 2.0)]


def test_a_line_that_was_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    CurveFile(path).add(line(1, 5.0))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    assert read(path) == [line(1, 5.0)]
    CurveFile(path).add(line(2, 4.0))
    assert read(path) == [line(1, 5.0), line(2, 4.0)]


def test_a_curve_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read the curve .*nothing\.jsonl"):
        read(tmp_path / "nothing.jsonl")


def test_the_plot_names_every_loss_and_every_condition(tmp_path: Path) -> None:
    table = {"none": 30.0, "vectors_1": 25.0, "intervals": {"none": [29.0, 31.0]}, "tokens": 512, "damage": 1.1}
    lines = [line(1, 5.0), line(2, 4.0) | {"curves": {"lm": 4.0, "answer": 3.0}, "validation": table}]
    plot_curves(lines, tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    for name in ("<!-- lm -->", "<!-- answer -->", "<!-- none -->", "<!-- vectors_1 -->", "<!-- perplexity, held out -->"):
        assert name in drawn
    assert "<!-- tokens -->" not in drawn
    assert "<!-- damage -->" not in drawn
    plot_curves(lines, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == drawn
    plot_curves(lines[:1], tmp_path / "no-validation.svg")
    assert "perplexity" not in (tmp_path / "no-validation.svg").read_text()
