"""Text from outside (names, titles, quotes, error messages) as it may be shown on a terminal or in a Markdown table."""

from __future__ import annotations

import re
import unicodedata

_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories: controls, invisible marks, halves of characters, line and paragraph ends."""
_JOINERS = "\u200c\u200d"
"""Marks that belong to Persian words and to emoji."""
_MARKDOWN = re.compile(r"([\\|<>`\[\]])")


def printable(text: str) -> str:
    """Write what a terminal would act on as an escape: control characters, line ends, and marks that change the direction of writing."""
    return "".join(ascii(char)[1:-1] if unicodedata.category(char) in _ACTING and char not in _JOINERS else char for char in text)


def markdown_cell(text: str) -> str:
    """Text that stays one cell, without links, images, or HTML."""
    return _MARKDOWN.sub(r"\\\1", printable(text.replace("\n", " ")))
