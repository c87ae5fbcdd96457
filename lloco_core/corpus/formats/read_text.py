"""What every reader returns, and the readers of plain text and Markdown.

The text of a `ReadText` is in the normal form of `decoding.py`; `page_starts` are offsets in exactly that text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lloco_core.corpus.decoding import decode_text, normalise_text

_FIRST_HEADING = re.compile(r"\s*# +([^\n]+?)[ #]*(?:\n|$)")


@dataclass(frozen=True, slots=True)
class ReadText:
    """The text of one document as its format holds it."""

    text: str
    title: str | None = None
    page_starts: tuple[int, ...] = ()
    n_empty_pages: int = 0
    """Pages without text, such as scans."""


def read_plain(data: bytes, max_bytes: int) -> ReadText:
    """Read plain text of any encoding."""
    return ReadText(normalise_text(decode_text(data)))


def read_markdown(data: bytes, max_bytes: int) -> ReadText:
    """Read Markdown as it is written; a first-level heading on the first line is its title."""
    text = normalise_text(decode_text(data))
    heading = _FIRST_HEADING.match(text)
    return ReadText(text, heading[1] if heading else None)
