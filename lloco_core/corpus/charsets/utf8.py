"""UTF-8 with damage: a cut character, a stray byte of another encoding, surrogates written as characters.

Bytes of another encoding form UTF-8 sequences only by accident, and leave more bytes broken than they use up as continuation bytes:
so did all but one of 8,000 texts of 12 to 4,000 characters in 45 encodings. `SURE` keeps twice that distance.
"""

from __future__ import annotations

import re

from lloco_core.corpus.charsets.plausible import odd_share

SURE = 2.0
"""Continuation bytes per broken byte from which data is UTF-8 without a look at other encodings."""
POSSIBLE = 1.0
"""The same for data in which no other encoding was found."""
_FEW_ODD = 0.2
_JUDGED = 65_536
"""Characters, from the first one beyond ASCII, that are judged by how odd they are."""
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf](?:\xed[\xb0-\xbf][\x80-\xbf])?|\xed[\xb0-\xbf][\x80-\xbf]")
_REPLACEMENT = "\ufffd".encode()
_CUT_END = re.compile(rb"(?:[\xe1-\xef][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{1,2})\Z")
_CUT_START = re.compile(rb"\A[\x80-\xbf]{1,3}(?![\x80-\xff])")
_WIDE = re.compile("[^\x00-\x7f\ufffd]")


def read_utf8(data: bytes) -> str | None:
    """Valid UTF-8, else None."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def read_damaged_utf8(data: bytes, enough: float = SURE) -> str | None:
    """UTF-8 with U+FFFD for its broken bytes; None where there are not `enough` continuation bytes for each of them.

    Surrogates (CESU-8) are damage, too, but speak for UTF-8. A character cut by an end of the data speaks neither for nor against it.
    """
    data = _SURROGATES.sub(_REPLACEMENT, data)
    text = data.decode("utf-8", "replace")
    inner = _CUT_START.sub(b"", _CUT_END.sub(b"", data))
    if inner.isascii():
        return text if _CUT_END.search(data) else None
    kept = inner.decode("utf-8", "replace")
    n_replaced = inner.count(_REPLACEMENT)
    n_broken = kept.count("\ufffd") - n_replaced
    kept = kept.replace("\ufffd", "")
    n_continuing = len(kept.encode()) - len(kept) + 2 * n_replaced
    if not n_continuing or n_continuing < enough * n_broken:
        return None
    first = _WIDE.search(text)
    start = max(0, first.start() - 100) if first else 0
    return text if odd_share(text[start : start + _JUDGED]) <= _FEW_ODD else None
