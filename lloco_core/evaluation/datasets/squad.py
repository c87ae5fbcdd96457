"""SQuAD 1.1 (Rajpurkar et al. 2016) per article: its paragraphs joined to one long document with a few hundred questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example, distinct
from lloco_core.evaluation.datasets.rows import Row, json_row


def load(path: Path) -> list[Example]:
    """Questions of a JSON file as published.

    Raises:
        DatasetError: the file is missing or of another layout, or a question has no answer (as in SQuAD 2.0).
    """
    return distinct((example for article in json_row(path).rows("data") for example in _article(article)), path)


def _article(article: Row) -> Iterator[Example]:
    title, paragraphs = article.text("title"), article.rows("paragraphs")
    document = "\n\n".join(paragraph.text("context").strip() for paragraph in paragraphs)
    for paragraph in paragraphs:
        for row in paragraph.rows("qas"):
            references = tuple(dict.fromkeys(answer.text("text") for answer in row.rows("answers")))
            if not references:
                raise DatasetError(f"{row.place}: 'answers' is empty; leave out what cannot be answered")
            yield Example(title, document, row.text("id"), row.text("question").strip(), references, title, "f1")
