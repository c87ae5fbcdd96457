"""What the control words of RTF stand for: characters, destinations, and the code pages of fonts."""

from __future__ import annotations

import codecs

CHARACTERS = {
    "par": "\n", "line": "\n", "sect": "\n", "page": "\n", "column": "\n", "row": "\n", "nestrow": "\n", "softline": "\n",
    "tab": "\t", "cell": "\t", "nestcell": "\t",
    "emdash": "\u2014", "endash": "\u2013", "emspace": " ", "enspace": " ", "qmspace": " ", "bullet": "\u2022",
    "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c", "rdblquote": "\u201d",
}  # fmt: skip
SYMBOLS = {"~": "\u00a0", "_": "\u2011", "\\": "\\", "{": "{", "}": "}", "\n": "\n", "\r": "\n", "\t": "\t"}
SKIPPED = {
    "colortbl", "stylesheet", "info", "pict", "objdata", "objclass", "objname", "object_alias", "header", "headerl", "headerr", "headerf",
    "footer", "footerl", "footerr", "footerf", "themedata", "datastore", "listtable", "listoverridetable", "rsidtbl", "filetbl", "revtbl",
    "fldinst", "bkmkstart", "bkmkend", "nonshppict", "shprslt", "sp", "sn", "sv", "upr", "private", "xe", "tc", "txe", "rxe",
    "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "generator", "xmlnstbl", "latentstyles", "mmathPr",
}  # fmt: skip
"""Destinations that hold no text of the document, or hold it a second time."""
READ_ALTHOUGH_STARRED = {"shpinst", "ud"}
"""Destinations that old programs may skip and whose text counts: text boxes, and text in Unicode beside `upr`."""
NOTES = {"footnote"}

ENCODINGS = {"ansi": "cp1252", "mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_BY_CHARSET = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "big5", 161: "cp1253", 162: "cp1254", 163: "cp1258",
    177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 255: "cp437",
}  # fmt: skip
_BY_NAME = {"CE": "cp1250", "Cyr": "cp1251", "Greek": "cp1253", "Tur": "cp1254", "Baltic": "cp1257"}


def encoding_of_page(number: int) -> str | None:
    """The codec of a code page; None for one that Python does not have."""
    name = {10000: "mac_roman", 10007: "mac_cyrillic", 10029: "mac_latin2", 65001: "utf-8", 936: "gbk", 950: "big5"}.get(
        number, f"cp{number}"
    )
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def encoding_of_font(charset: int | None, page: int | None, name: str) -> str | None:
    """The codec of a font: its code page, its character set, or what its name says; None where it is that of the document."""
    return (encoding_of_page(page) if page else None) or _BY_CHARSET.get(charset or 0) or _BY_NAME.get(name.strip(" ;").rpartition(" ")[2])
