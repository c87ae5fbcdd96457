"""UTF-16 and UTF-32 without a byte order mark, known by where their zero bytes lie."""

from __future__ import annotations

import re
import unicodedata

from lloco_core.corpus.reasons import Reason, Rejected

_SAMPLE = 65_536
"""Bytes; a multiple of four."""
_ORDERS = {"utf-16": ("utf-16-le", "utf-16-be"), "utf-32": ("utf-32-le", "utf-32-be")}
_NO_TEXT = {"Cn", "Co", "Cs"}
_MOST_BROKEN = 0.05
_NARROW = re.compile(rb"(?=[\x21-\x7e]{0,31}[\t\r\n ])[\t\r\n\x20-\x7e]{32}")
"""Bytes of ASCII with a blank in a row that UTF-16 does not have: Latin text has a zero byte in every other place, and of 16 Chinese
characters some lie elsewhere."""
_SWAPPED = "\ufffe"
"""A byte order mark read in the wrong order; no text has it."""
_FEW_BLOCKS = 4
"""Of text in an alphabet, with its punctuation: Thai has few zero bytes, but one and the same byte in every other place."""


def read_wide(data: bytes) -> str | None:
    """Text of data that has zero bytes; None where it is neither.

    Raises:
        Rejected: `undecodable`, when it is one of them and its byte order cannot be told.
    """
    import chardet

    found = chardet.detect(data[:_SAMPLE], compat_names=False)["encoding"] or ""
    known = found[:6] in _ORDERS
    orders = _ORDERS[found[:6] if known else "utf-16"]
    broken, n_blocks, codec = min((*_oddities(data[:_SAMPLE].decode(codec, "replace")), codec) for codec in orders)
    if not known and (broken or n_blocks > _FEW_BLOCKS or not _mostly_letters(data[:_SAMPLE].decode(codec, "replace"))):
        return None
    if broken > _MOST_BROKEN:
        raise Rejected(Reason.UNDECODABLE, f"looks like {found[:6]}, but neither byte order gives text; save the file again as UTF-8")
    if codec.startswith("utf-16"):
        refuse_mixed(data)
    text = data.decode(codec, "replace")
    if _SWAPPED in text:
        raise Rejected(Reason.UNDECODABLE, "is put together of files in several encodings; save each again as UTF-8")
    return text


def refuse_mixed(data: bytes) -> None:
    """Refuse UTF-16 to which lines of another encoding were added, as `Add-Content` of PowerShell does: they would become Chinese.

    Raises:
        Rejected: `undecodable`.
    """
    if found := _NARROW.search(data):
        message = f"is UTF-16, but not from byte {found.start()} on ({found.group()[:24].decode()!r}); save the file again as UTF-8"
        raise Rejected(Reason.UNDECODABLE, message)


def _oddities(text: str) -> tuple[float, int]:
    """Share of characters that no text has, and the number of blocks of 256 characters: a text has few, in the wrong order many."""
    broken = sum(character == "\ufffd" or unicodedata.category(character) in _NO_TEXT for character in text)
    return round(broken / max(1, len(text)), 3), len({ord(character) >> 8 for character in text})


def _mostly_letters(text: str) -> bool:
    return sum(unicodedata.category(character)[0] in "LMZ" for character in text) > 0.7 * len(text)
