"""Encodings of seven bits, in which plain ASCII switches to other characters: ISO-2022, HZ, UTF-7."""

from __future__ import annotations

import re

from lloco_core.corpus.charsets.plausible import odd_share
from lloco_core.corpus.reasons import Reason, Rejected

_SWITCHES = [re.compile(rb"\x1b[$(]"), re.compile(rb"~\{"), re.compile(rb"\+[A-Za-z0-9/]{3}")]
"""One expression each: with a fixed beginning they are found as fast as memory is read."""
_DESIGNATION = re.compile(r"\x1b\$[()*+,]?[@-Z]")
"""Of a set of two-byte characters; terminals have no such sequence."""
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f]")
_SAMPLE = 65_536
_FEW_ODD = 0.2
_CODECS = {"hz": ("hz",), "utf-7": ("utf-7",), "iso2022_kr": ("iso2022_kr",)}
_JAPANESE = ("iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004")


def read_escaped(data: bytes) -> str | None:
    """Text of an encoding that ASCII `data` switches to; None where it is ASCII and nothing else."""
    switches = [found.start() for switch in _SWITCHES if (found := switch.search(data))]
    if not switches:
        return None
    import chardet

    start = data.rfind(b"\n", 0, min(switches)) + 1
    found = chardet.detect(data[start : start + _SAMPLE], compat_names=False)["encoding"] or ""
    for codec in _CODECS.get(found, _JAPANESE if _is_japanese(data) else ()):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        return text if codec in _JAPANESE or _is_text(text) else None
    return None


def _is_japanese(data: bytes) -> bool:
    """Chinese and Korean shift by SO as well."""
    return (b"\x1b$" in data or b"\x1b(" in data) and b"\x0e" not in data


def _is_text(text: str) -> bool:
    """Whether it is not plain ASCII in which `+` or `~` happened to stand before letters."""
    return odd_share(text) <= _FEW_ODD and _CONTROL.search(text) is None


def refuse_escapes(text: str) -> None:
    """Refuse text in which escape sequences of ISO 2022 are left.

    Raises:
        Rejected: `undecodable`.
    """
    found = _DESIGNATION.search(text)
    if found:
        raise Rejected(
            Reason.UNDECODABLE,
            f"holds the escape {found.group()!r} of ISO 2022, but is no ISO-2022-JP or ISO-2022-KR; save the file again as UTF-8",
        )
