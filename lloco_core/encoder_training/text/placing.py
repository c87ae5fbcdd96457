"""Where facts are put into a row: after sentences, and as the very first or last tokens of the row or of a segment.

What is put in pushes the text behind it on and its tail out of the row, which keeps its length. Evaluation puts needles
at depth 0 and 1 as well, so both ends are covered; a fact between sentences leaves the tokens around it as they are.
Shape suffixes: T tokens of a row, V vocabulary.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from lloco_core.encoder_training.text.facts import Fact

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.config import CurriculumConfig
    from lloco_core.encoder_training.text.tokens import TextTokenizer

Where = Literal["sentence", "start", "end"]

_FORM: dict[Where, str] = {"sentence": " {}", "start": "{}\n", "end": "\n{}"}
"""How a fact is set apart. Behind a sentence the next token brings its own space."""

_ABBREVIATED = {b"Mr", b"Mrs", b"Dr", b"St", b"Prof", b"Capt", b"Gen", b"vs", b"etc"}


class Placed(NamedTuple):
    """A fact within a row."""

    fact: Fact
    start: int
    end: int
    """Behind its last token."""


class TokenKinds:
    """What a token is by itself, as tables [V] of bool."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        stripped = [piece.strip() for piece in pieces]
        self.begins_word_V = np.array([piece[:1] in (b" ", b"\n") for piece in pieces])
        self._ends_sentence_V = np.array([piece.rstrip(b"\"')").endswith((b".", b"!", b"?")) for piece in pieces])
        self._no_word_V = np.array([piece in _ABBREVIATED or (len(piece) == 1 and piece.isupper()) for piece in stripped])

    def breaks(self, row_T: np.ndarray) -> list[int]:
        """Positions behind a sentence whose next token begins with white space: text put there is tokenised as it would be anyway."""
        at_end_T = self._ends_sentence_V[row_T]
        at_end_T[1:] &= ~self._no_word_V[row_T[:-1]]
        at_end_T[:-1] &= self.begins_word_V[row_T[1:]]
        return (np.flatnonzero(at_end_T[:-1]) + 1).tolist()


class _Planned(NamedTuple):
    target: int
    """Where it begins in the finished row; behind a sentence, about there."""
    where: Where
    fact: Fact
    ids_T: np.ndarray


def place_facts(
    row_T: np.ndarray, facts: Sequence[Fact], tokenizer: TextTokenizer, kinds: TokenKinds, config: CurriculumConfig, rng: Random
) -> tuple[np.ndarray, list[Placed]]:
    """The row with the facts in it, as long as before. A fact that finds no room between the others is left out."""
    breaks = kinds.breaks(row_T)
    parts: list[np.ndarray] = []
    placed: list[Placed] = []
    length = taken = 0  # tokens of the new row, tokens of the old row
    for planned in _plan(len(row_T), facts, tokenizer, config, rng):
        text = _text_before(planned, length, taken, breaks, len(row_T))
        if text is None:
            continue
        start = length + text
        parts += [row_T[taken : taken + text], planned.ids_T]
        length, taken = start + len(planned.ids_T), taken + text
        placed.append(Placed(planned.fact, start, length))
    parts.append(row_T[taken : taken + len(row_T) - length])
    return np.concatenate(parts), placed


def _plan(row_tokens: int, facts: Sequence[Fact], tokenizer: TextTokenizer, config: CurriculumConfig, rng: Random) -> list[_Planned]:
    wheres: list[Where] = [rng.choice(("start", "end")) if rng.random() < config.edges else "sentence" for _ in facts]
    ids = tokenizer.encode([_FORM[where].format(fact.sentence) for where, fact in zip(wheres, facts, strict=True)])
    planned = []
    for where, fact, ids_T in zip(wheres, facts, ids, strict=True):
        if len(ids_T) <= row_tokens:
            planned.append(_Planned(_target(where, row_tokens, len(ids_T), config, rng), where, fact, ids_T.astype(np.int64)))
    return sorted(planned, key=lambda item: item.target)


def _target(where: Where, row_tokens: int, fact_tokens: int, config: CurriculumConfig, rng: Random) -> int:
    if where == "sentence":
        return rng.randint(0, row_tokens - fact_tokens)
    segment = rng.choice(config.segment_tokens)
    borders = range(segment, row_tokens, segment)
    at_row = not borders or rng.random() < 0.5
    if where == "start":
        return 0 if at_row else rng.choice(borders)
    return max(0, (row_tokens if at_row else rng.choice(borders)) - fact_tokens)


def _text_before(planned: _Planned, length: int, taken: int, breaks: list[int], row_tokens: int) -> int | None:
    """How many more tokens of text go before a fact; None when it has no place."""
    text = planned.target - length
    if planned.where != "sentence":
        return text if text >= 0 and planned.target + len(planned.ids_T) <= row_tokens else None
    nearest = bisect_left(breaks, taken + max(0, text))
    for place in breaks[max(0, nearest - 1) : nearest + 1][::-1]:
        if place >= taken and length + place - taken + len(planned.ids_T) <= row_tokens:
            return place - taken
    return None
