"""Names and words of one or two tokens, for facts that a small model can learn to hold early.

Made-up names (`names`) are of several rare tokens each; here what has to be kept is which token it was, and for some which one followed.
The vocabulary does not tell whole words from beginnings of words: some values are beginnings ("Americ"), and some go on where no word does
("Chicwood"), so that nobody learns to stop behind the first token of "Chicago".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Self

from lloco_core.encoder_training.text import names
from lloco_core.encoder_training.text.literal import NOT_NAMES
from lloco_core.encoder_training.text.reserved import is_reserved

FEWEST = 200
"""A vocabulary with fewer names or fewer words than this gives none."""

_NAME = re.compile(rb" ([A-Z][a-z]{3,})")
_WORD = re.compile(rb" ([a-z]{5,})")
_ENDING = re.compile(rb"([a-z]{2,6})")
_ENDED = 0.4
"""Share of the names and words that go on with another token."""
_NO_VALUE = (
    "according across against almost along alongside already always among around away being beyond could despite either else enough ever "
    "following four five further having herself himself itself like likewise might moreover myself nevertheless otherwise others ought "
    "quite rather same seven several shall should similar somewhat themselves therefore three toward towards well whether within without "
    "would yourself"
)
_NEEDLE = ("magic", "city")
NO_VALUES = NOT_NAMES.union(_NO_VALUE.split(), _NEEDLE)
"""Words that no fact is told with."""


@dataclass(frozen=True, slots=True)
class KnownWords:
    """Values of facts as in `names`, of known words; threads may share it."""

    names: tuple[str, ...]
    words: tuple[str, ...]
    endings: tuple[str, ...]

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> Self | None:
        """From the bytes of every token; None where the vocabulary has too few."""
        pieces = list(pieces)
        found = cls(_matching(_NAME, pieces), _matching(_WORD, pieces), _matching(_ENDING, pieces))
        return found if min(len(found.names), len(found.words), len(found.endings)) >= FEWEST else None

    def word(self, rng: Random) -> str:
        """A word in lower case."""
        return self._ended(self.words, rng)

    def place(self, rng: Random) -> str:
        """One name."""
        return self._ended(self.names, rng)

    def person(self, rng: Random) -> str:
        """Two names."""
        while is_reserved(made := f"{self._ended(self.names, rng)} {self._ended(self.names, rng)}"):
            pass
        return made

    def number(self, rng: Random) -> str:
        """Two to four digits."""
        digits = rng.randint(2, 4)
        return str(rng.randint(10 ** (digits - 1), 10**digits - 1))

    def year(self, rng: Random) -> str:
        """Four digits."""
        return names.year(rng)

    def code(self, rng: Random) -> str:
        """Two letters and two digits."""
        return names.filled("AA00", rng)

    def _ended(self, known: tuple[str, ...], rng: Random) -> str:
        while True:
            made = rng.choice(known) + (rng.choice(self.endings) if rng.random() < _ENDED else "")
            if made.lower() not in NO_VALUES and not is_reserved(made):
                return made


def _matching(form: re.Pattern[bytes], pieces: list[bytes]) -> tuple[str, ...]:
    found = [match[1].decode() for piece in pieces if (match := form.fullmatch(piece))]
    return tuple(dict.fromkeys(text for text in found if text.lower() not in NO_VALUES and not is_reserved(text)))
