"""A row of tokens as text, with the way back: which tokens hold the text up to a character.

Rows are cut anywhere, so the first and the last character may be incomplete; such bytes become lone surrogates, which
no question or answer may contain. Line breaks are read as spaces, for texts with wrapped lines; empty lines end a sentence.
Shape suffixes: T tokens, C characters.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

_ABBREVIATED = r"(?<!\b[A-Z]\.)(?<!\bMr\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bMrs\.)"
_SENTENCE_END = re.compile(rf"(?:(?<=[.!?])|(?<=[.!?][\"'”’)])){_ABBREVIATED}\s+(?=[\"'“‘(]?[A-Z0-9])|\n\s*\n")
_SHORTEST, _LONGEST = 20, 400
"""Characters of a sentence that questions are made from."""


class Sentence(NamedTuple):
    """A whole sentence of a row."""

    text: str
    start: int
    """First character in the row."""
    end: int


class RowText:
    """The text of a row."""

    def __init__(self, row_T: np.ndarray, pieces: list[bytes]) -> None:
        parts = [pieces[token] for token in row_T.tolist()]
        self._ends_T = np.cumsum([len(part) for part in parts])
        self.text = b"".join(parts).decode("utf-8", "surrogateescape")

    @cached_property
    def _byte_ends_C(self) -> np.ndarray:
        codes_C = np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        is_lone_C = (codes_C >= 0xD800) & (codes_C < 0xE000)  # one undecodable byte each
        return np.cumsum(np.where(is_lone_C, 1, 1 + (codes_C >= 0x80) + (codes_C >= 0x800) + (codes_C >= 0x10000)))

    def tokens_to(self, end: int) -> int:
        """How many tokens of the row it takes to hold the first `end` characters."""
        if end == 0:
            return 0
        return int(np.searchsorted(self._ends_T, self._byte_ends_C[end - 1], side="left")) + 1

    def characters_to(self, end: int) -> int:
        """How many characters the first `end` tokens hold; of one cut within, the part before the cut does not count."""
        if end == 0:
            return 0
        return int(np.searchsorted(self._byte_ends_C, self._ends_T[end - 1], side="right"))

    @cached_property
    def sentences(self) -> list[Sentence]:
        """Sentences that begin and end within the row."""
        ends = [match.span() for match in _SENTENCE_END.finditer(self.text)]
        found = []
        for (_, start), (end, _) in pairwise(ends):
            if _SHORTEST <= end - start <= _LONGEST:
                found.append(Sentence(self.text[start:end].replace("\n", " "), start, end))
        return found


def is_whole(text: str) -> bool:
    """Whether a text has no incomplete characters."""
    return not any("\ud800" <= character < "\ue000" or character == "\ufffd" for character in text)
