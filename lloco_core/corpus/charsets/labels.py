"""Labels of character encodings to Python codecs, as browsers resolve them (WHATWG Encoding Standard).

There `latin1` and `us-ascii` are windows-1252, `gb2312` is gb18030, and `shift_jis` has the characters of Windows. Labels outside
the standard's table are looked up among Python's codecs.
"""

from __future__ import annotations

import codecs

import webencodings

_WIDER = {"gbk": "gb18030", "gb2312": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932"}
"""Codecs of Python that lack characters of the encoding as it is used."""
_WIDER |= {"iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874", "ascii": "cp1252"}
_WIDER |= {"euc_jp": "euc_jis_2004", "iso2022_jp": "iso2022_jp_ext", "x-user-defined": "cp1252", "utf-8-sig": "utf-8"}
_NO_CHARSET = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "charmap", "mbcs", "oem"}


def codec_of(label: str) -> str | None:
    """The codec that a label names; None where it names no character encoding."""
    found = webencodings.lookup(label)
    name = found.codec_info.name if found else label.strip()
    if found is None or found.name == "replacement":  # browsers refuse ISO-2022-KR and HZ; Python decodes them
        try:
            info = codecs.lookup(label.strip())
        except (LookupError, ValueError):
            return None
        if not info._is_text_encoding or info.name in _NO_CHARSET:
            return None
        name = info.name
    return _WIDER.get(name, name)


def checked_label(label: str) -> str:
    """The label, when it names an encoding.

    Raises:
        ValueError: it does not.
    """
    if codec_of(label) is None:
        raise ValueError(f"{label!r} names no character encoding; write one such as windows-1250, iso-8859-2, koi8-r, gb18030, cp850")
    return label
