"""HotpotQA (Yang et al. 2018): questions over two paragraphs among distractors.

Two layouts are read: `title_a`, `para_a`, `title_b`, `para_b`, `distractors`, and the official one with `context`, which already is in
random order. The second is not tested on the official files. Paragraphs of the first are put in the order of their titles, so that
their place does not give the gold ones away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example, distinct
from lloco_core.evaluation.datasets.rows import Row, json_rows


def load(path: Path) -> list[Example]:
    """Questions of a JSON file; every question has a document of its own.

    Raises:
        DatasetError: the file is missing or of another layout.
    """
    return distinct(map(_example, json_rows(path)), path)


def _example(row: Row) -> Example:
    name = row.text("_id")
    if "context" in row:
        paragraphs = [_paragraph(row, "context", order, item) for order, item in enumerate(row.list_of("context"))]
    else:
        gold = [(row.text(f"title_{side}"), row.texts(f"para_{side}")) for side in "ab"]
        paragraphs = sorted(gold + [_paragraph(row, "distractors", order, item) for order, item in enumerate(row.list_of("distractors"))])
    document = "\n\n".join(f"{title}\n{''.join(sentences).strip()}" for title, sentences in paragraphs)
    return Example(name, document, name, row.text("question").strip(), (row.text("answer"),), name, "hotpot")


def _paragraph(row: Row, field: str, order: int, item: Any) -> tuple[str, list[str]]:
    """[title, sentences], behind which distractors have a retrieval score."""
    fits = isinstance(item, list) and len(item) >= 2 and isinstance(item[0], str) and isinstance(item[1], list)
    if not fits or not all(isinstance(sentence, str) for sentence in item[1]):
        raise DatasetError(f"{row.place}, {field}[{order}]: expected [title, [sentence, ...]]")
    return item[0], item[1]
