"""FairytaleQA (Xu et al. 2022; github uci-soe/FairytaleQAData): questions of experts about fairy tales, one CSV per story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example, distinct
from lloco_core.evaluation.datasets.rows import csv_rows

ANSWERS = tuple(f"answer{number}" for number in range(1, 7))
"""Columns of both annotators; most are empty."""


def load(folder: Path, split: str = "test") -> list[Example]:
    """Questions of a split (`train`, `val`, `test`) of a checkout, in the order of the stories' names.

    The document id is the story's file name without `-story.csv`; sections are joined by blank lines. A question's id has its row: the
    file's own numbers are not unique.

    Raises:
        DatasetError: no such split, or a row without text, question, or answer.
    """
    base = folder / "data-by-train-split"
    stories = sorted((base / "section-stories" / split).glob("*-story.csv"))
    if not stories:
        raise DatasetError(f"{base / 'section-stories' / split} holds no stories; give the folder that contains data-by-train-split")
    return distinct((example for path in stories for example in _story(path, base / "questions" / split)), base)


def _story(path: Path, questions: Path) -> Iterator[Example]:
    name = path.name.removesuffix("-story.csv")
    document = "\n\n".join(row.text("text") for row in csv_rows(path))
    for number, row in enumerate(csv_rows(questions / f"{name}-questions.csv"), 1):
        references = tuple(dict.fromkeys(row.text(column).strip() for column in ANSWERS if column in row))
        if not references:
            raise DatasetError(f"{row.place}: no answer; expected one in {ANSWERS[0]} to {ANSWERS[-1]}")
        yield Example(name, document, f"{name}/{number}", row.text("question").strip(), references, name, "f1")
