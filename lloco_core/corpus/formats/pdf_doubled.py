"""Lines that a PDF draws twice, a little beside each other, to make them bold or cast a shadow: they are there once."""

from __future__ import annotations

_FEWEST_LETTERS = 4
"""Letters of a line that is no row of figures or dashes."""


def once(text: str) -> str:
    """Text without what was drawn twice, line by line or letter by letter."""
    return "\n".join(map(_line_once, text.split("\n")))


def _line_once(line: str) -> str:
    half, odd = divmod(len(line), 2)
    if odd or half < _FEWEST_LETTERS:
        return line
    for kept, other in ((line[:half], line[half:]), (line[::2], line[1::2])):
        if kept == other and sum(map(str.isalpha, kept)) >= _FEWEST_LETTERS and len(set(kept)) >= _FEWEST_LETTERS:
            return kept
    return line
