"""What every loader gives: a question about a document with its references."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lloco_core.errors import DatasetError

Measure = Literal["f1", "hotpot", "choice", "rouge"]
"""How answers are scored: see `lloco_core.evaluation.scoring`."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question."""

    document_id: str
    document: str
    """Its text; questions about one document share the object."""
    question_id: str
    """Unique in the data set."""
    question: str
    references: tuple[str, ...]
    """At least one; for `choice` the letter of the right option."""
    cluster: str
    """What intervals draw as a whole: the document, or what several documents have in common."""
    measure: Measure


def distinct(examples: Iterable[Example], origin: object) -> list[Example]:
    """All questions in order, a repeated row once.

    Raises:
        DatasetError: none at all, or two different questions with one id.
    """
    found: dict[str, Example] = {}
    for example in examples:
        if found.setdefault(example.question_id, example) != example:
            raise DatasetError(f"{origin}: two different questions have the id {example.question_id!r}; ids must be unique in a data set")
    if not found:
        raise DatasetError(f"{origin} holds no questions; check that this is the file of the split you want")
    return list(found.values())
