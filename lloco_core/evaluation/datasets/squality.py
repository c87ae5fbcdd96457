"""SQuALITY (Wang et al. 2022; github nyu-mll/SQuALITY): summaries of stories under a question, four references each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example, distinct
from lloco_core.evaluation.datasets.rows import Row, jsonl_rows


def load(path: Path) -> list[Example]:
    """Questions of a JSON-lines file as published (v1.3).

    Raises:
        DatasetError: the file is missing or of another layout, or a question has no response.
    """
    return distinct((example for row in jsonl_rows(path) for example in _story(row)), path)


def _story(story: Row) -> Iterator[Example]:
    name, document = story.row("metadata").identity("passage_id"), story.text("document")
    for row in story.rows("questions"):
        references = tuple(response.text("response_text") for response in row.rows("responses"))
        if not references:
            raise DatasetError(f"{row.place}: 'responses' is empty; the hidden test answers cannot be scored")
        yield Example(
            name, document, f"{name}/{row.number('question_number')}", row.text("question_text").strip(), references, name, "rouge"
        )
