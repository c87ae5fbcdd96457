"""Cutting a document's text into retrieval passages.

The passages cover the text without gap or overlap, so that joining them gives the text back. Cuts are made, in this order
of preference, after a blank line, a line, a sentence, a word; never inside a word unless one is longer than a passage.
"""

from __future__ import annotations

import re

from lloco_core.types import Passage

_CUTS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"[.!?][\"')\]]*\s"), re.compile(r"\s"))
_WORD = re.compile(r"\S*")


def split_passages(text: str, limit: int) -> list[Passage]:
    """Split a text into passages of at most `limit` characters."""
    passages: list[Passage] = []
    start = 0
    while start < len(text):
        end = _cut(text, start, limit)
        passages.append(Passage(len(passages), start, end, text[start:end]))
        start = end
    return passages


def _cut(text: str, start: int, limit: int) -> int:
    if len(text) - start <= limit:
        return len(text)
    for pattern in _CUTS:
        ends = [match.end() for match in pattern.finditer(text, start, start + limit) if match.end() <= start + limit]
        if ends and ends[-1] > start + limit // 3:  # a tiny passage says too little to be found
            return ends[-1]
    if ends and len(_WORD.match(text, ends[-1], ends[-1] + limit + 1)[0]) <= limit:
        return ends[-1]
    return start + limit
