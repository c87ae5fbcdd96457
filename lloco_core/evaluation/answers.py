"""One answer against its references: exact match, token F1, containment, HotpotQA's F1, and the option letter.

Every score is between 0 and 1 and the best over the references. Normalisation is that of SQuAD (Rajpurkar et al. 2016): lower case,
without punctuation, without articles, single spaces.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Sequence

ARTICLES = frozenset({"a", "an", "the"})
CLOSED_ANSWERS = frozenset({"yes", "no", "noanswer"})
"""Answers that HotpotQA (Yang et al. 2018) gives no share of: they are right or wrong."""

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised_tokens(text: str) -> list[str]:
    """The words that count."""
    return [word for word in text.lower().translate(_WITHOUT_PUNCTUATION).split() if word not in ARTICLES]


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 if the normalised answer is a normalised reference."""
    return _best(lambda found, wanted: float(found == wanted), answer, references)


def token_f1(answer: str, references: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of the words, repetitions counted."""
    return _best(_f1, answer, references)


def hotpot_f1(answer: str, references: Sequence[str]) -> float:
    """Token F1, but 0 where answer and reference differ and one of them is yes, no, or noanswer."""

    def score(found: list[str], wanted: list[str]) -> float:
        closed = {" ".join(found), " ".join(wanted)} & CLOSED_ANSWERS
        return float(found == wanted) if closed else _f1(found, wanted)

    return _best(score, answer, references)


def contained(answer: str, references: Sequence[str]) -> float:
    """1 if the words of a reference stand side by side in the answer, whatever its form: recall, not precision.

    A reference without words (such as "the") stands nowhere. A long answer contains much: compare lengths beside it.
    """

    def score(found: list[str], wanted: list[str]) -> float:
        size = len(wanted)
        return float(size > 0 and any(found[at : at + size] == wanted for at in range(len(found) - size + 1)))

    return _best(score, answer, references)


def option_matches(answer: str, references: Sequence[str]) -> float:
    """1 if the first character of the answer is a reference's letter (QuALITY)."""
    return float(answer.strip()[:1] in references)


def needle_found(answer: str, needle: str) -> bool:
    """Whether the needle stands in the answer, letter for letter."""
    return needle in answer


def _best(score: Callable[[list[str], list[str]], float], answer: str, references: Sequence[str]) -> float:
    found = normalised_tokens(answer)
    return max(score(found, normalised_tokens(reference)) for reference in references)


def _f1(found: list[str], wanted: list[str]) -> float:
    if not found or not wanted:
        return float(found == wanted)
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))
