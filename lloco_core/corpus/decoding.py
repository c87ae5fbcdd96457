"""Bytes to text: character encodings, and the one normal form of document text.

The normal form is NFC, `\\n` line ends, no control characters but `\\n` and `\\t`; nothing else is altered, literal
`<s>` and `</s>` included. Normalising twice changes nothing. The format readers call these functions.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from lloco_core.corpus.reasons import Reason, Rejected

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_MOST_CONTROL = 0.1
"""Share of control characters from which data is binary; logs with terminal colours stay below."""
_INTACT = 10
"""Non-ASCII characters per broken byte from which data is damaged UTF-8 rather than another encoding."""


def normalise_text(text: str) -> str:
    """Bring text into the normal form."""
    text = without_surrogates(text)
    return unicodedata.normalize("NFC", _CONTROL.sub("", _LINE_ENDS.sub("\n", text)))


def without_surrogates(text: str) -> str:
    """Replace lone surrogates, which neither UTF-8 nor Arrow can hold, by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def decode_text(data: bytes, declared: str | None = None) -> str:
    """Decode text of unknown encoding: byte order mark, UTF-8, the declared encoding, then statistics.

    Raises:
        Rejected: `binary` or `undecodable`.
    """
    text = _decode_marked(data)
    if text is None:
        if b"\x00" in data:
            raise Rejected(Reason.BINARY, f"byte {data.index(0)} is NUL, so this is not text; correct the file's suffix or exclude it")
        text = _decode_utf8(data) or _decode_as(data, declared) or _decode_by_statistics(data)
    n_control = len(_CONTROL.findall(text))
    if n_control > _MOST_CONTROL * len(text):
        raise Rejected(Reason.BINARY, f"{n_control} of {len(text)} characters are control characters; correct the suffix or exclude it")
    return text


def _decode_marked(data: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data.decode(encoding, "replace")
            if text.count("\ufffd") * _INTACT > len(text):
                raise Rejected(Reason.UNDECODABLE, f"starts with the mark of {encoding} but is not {encoding}; save it again as UTF-8")
            return text
    return None


def _decode_utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    n_broken = text.count("\ufffd")
    n_wide = sum(not character.isascii() for character in text) - n_broken
    return text if n_wide >= _INTACT * n_broken else None


def _decode_as(data: bytes, encoding: str | None) -> str | None:
    try:
        return data.decode(encoding) if encoding else None
    except (LookupError, UnicodeDecodeError):  # a page may declare an encoding that does not exist, or not its own
        return None


def _decode_by_statistics(data: bytes) -> str:
    from charset_normalizer import from_bytes

    # UTF-16 and UTF-32 have a mark or NULs, both handled; without either they would match short Latin text.
    found = from_bytes(data, cp_exclusion=["utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le", "utf_7"])
    best = found.best()
    if best is None:
        raise Rejected(Reason.UNDECODABLE, f"no character encoding fits these {len(data)} bytes; save the file again as UTF-8")
    for match in found:  # of equally plausible encodings the common one, not the alphabetically first
        if (match.chaos, match.coherence) == (best.chaos, best.coherence) and "cp1252" in match.could_be_from_charset:
            return str(match)
    return str(best)
