"""Words of a text's own phrases, for facts that sound like what the text says elsewhere.

"What is the green river?" may ask about a fact, and a text about rivers has something to say as well. Who has met such facts only in
words that are foreign to their text answers from the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from lloco_core.encoder_training.text.familiar import NO_VALUES

_PHRASE = re.compile(r"\b[Tt]he ([a-z]{3,12}) ([a-z]{4,12})\b")


class Phrases(NamedTuple):
    """What follows "the" in a text: "old" and "bridge" of "the old bridge"."""

    kinds: tuple[str, ...] = ()
    things: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Every phrase of two plain words, as often as the text has it."""
        found = [pair for pair in _PHRASE.findall(text) if NO_VALUES.isdisjoint(pair)]
        return cls(tuple(kind for kind, _ in found), tuple(thing for _, thing in found))


NO_PHRASES = Phrases()
