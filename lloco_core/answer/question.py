"""Which questions can be asked: anything with a visible character, in Unicode, up to a length."""

from __future__ import annotations

import unicodedata

from lloco_core.errors import QuestionError

_INVISIBLE = "CZ"
"""First letters of the Unicode categories of controls, marks without a shape, and blanks."""


def check_question(question: str) -> None:
    """Refuse what cannot be asked, whatever the store.

    Raises:
        QuestionError: nothing to ask, or not Unicode.
    """
    if all(unicodedata.category(character)[0] in _INVISIBLE for character in question):
        raise QuestionError(f"the question {question[:40]!r} is empty; give some words")
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise QuestionError(
            f"character {error.start + 1} of the question, {question[error.start]!r}, is a lone surrogate; give the question in UTF-8"
        ) from None


def check_length(question: str, limit: int) -> None:
    """Refuse a question of more than `limit` characters.

    Raises:
        QuestionError: with its length.
    """
    if len(question) > limit:
        raise QuestionError(
            f"the question has {len(question):,} characters, allowed are {limit:,}; ask a shorter one, or raise retrieval.question_chars"
        )
