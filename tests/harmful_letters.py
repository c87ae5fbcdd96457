"""Valid and harmful files of the formats that offices and mail programs write, as `harmful_files.py` has them of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.harmful_files import BOMB, LINES, MB, ROWS, TEXT, zipped
from tests.office_packages import pptx, pptx_parts, row, shape, xlsx, xlsx_parts

_PAGE = '<html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
_BOOK = {
    "META-INF/container.xml": '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>',
    "b.opf": '<package><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
    '<spine><itemref idref="c"/></spine></package>',
    "c.xhtml": _PAGE.format("".join(f"<p>{line}</p>" for line in LINES)),
}
_ARCHIVE = (
    "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>{}</p>\r\n--b--"
)
_CELLS = [{"cell_type": "code", "source": line, "outputs": [{"text": [line]}]} for line in LINES]

VALID: dict[str, tuple[str, bytes]] = {
    "xlsx": ("xlsx", xlsx("".join(row(number, line, str(number)) for number, line in enumerate(LINES, start=1)))),
    "pptx": ("pptx", pptx(*(shape(*LINES[start : start + 9]) for start in range(0, 90, 9)))),
    "epub": ("epub", zipped(_BOOK)),
    "mail": ("eml", f"From: ada@example.org\r\nSubject: Rivers\r\n\r\n{TEXT}".encode()),
    "archive": ("mht", _ARCHIVE.format(TEXT).encode()),
    "rtf": ("rtf", ("{\\rtf1\\ansi " + "".join(f"{line}\\par " for line in LINES) + "}").encode()),
    "json": ("json", json.dumps({"rivers": LINES, "rows": ROWS[:3]}).encode()),
    "csv": ("csv", "".join(f'{number},"{line}"\n' for number, line in enumerate(LINES)).encode()),
    "notebook": ("ipynb", json.dumps({"cells": _CELLS, "nbformat": 4}).encode()),
}
"""Format -> suffix and a file that is read without a fault."""


def harmful_letters() -> Iterator[tuple[str, str, str, bytes]]:
    """Yield (format, what is wrong, suffix, bytes)."""
    for kind, (suffix, _) in VALID.items():
        yield kind, "empty", suffix, b""
        yield kind, "nulls", suffix, bytes(5000)
    for kind, files in (("xlsx", _sheets()), ("pptx", _slides()), ("epub", _books()), ("mail", _mails()), ("rtf", _rtf()), ("csv", _csv())):
        for what, data in files.items():
            yield kind, what, VALID[kind][0], data
    yield "json", "deep", "json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    yield "json", "huge-integer", "json", b"[" + b"9" * 100_000 + b"]"
    yield "notebook", "cells-of-numbers", "ipynb", b'{"cells": [1, null, {"source": 3, "outputs": 4}]}'


_LAUGHS = '<!DOCTYPE d [<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(b)} "{f"&{chr(b - 1)};" * 10}">' for b in range(98, 108)) + "]>"


def _sheets() -> dict[str, bytes]:
    parts = xlsx_parts(row(1, "x"))
    sheet = "xl/worksheets/sheet1.xml"
    return {
        "bomb": zipped(xlsx_parts(row(1, "x" * BOMB))),
        "laughs": zipped({**parts, sheet: _LAUGHS + str(parts[sheet]).replace(">x<", ">&k;<")}),
        "rows-of-styles": xlsx("".join(f'<row r="{number}"><c r="XFD{number}" s="0"/></row>' for number in range(1, 1_000))),
        "row-zero": xlsx('<row r="0"><c r="A0"><v>1</v></c></row>'),
        "column-without-end": xlsx('<row r="1"><c r="ZZZZZZ1"><v>1</v></c></row>'),
        "row-without-end": xlsx(row(1, "a") + row(99_999_999, "b")),
        "missing-sheet": zipped({name: part for name, part in parts.items() if name != sheet}),
        "sheet-is-no-xml": zipped({**parts, sheet: "no xml"}),
        "media-bomb": zipped({**parts, "xl/media/a.bin": bytes(BOMB)}),
    }


def _slides() -> dict[str, bytes]:
    parts = pptx_parts(shape("x"))
    slide = "ppt/slides/slide1.xml"
    return {
        "bomb": pptx(shape("x" * BOMB)),
        "laughs": zipped({**parts, slide: _LAUGHS + str(parts[slide]).replace(">x<", ">&k;<")}),
        "deep-groups": pptx("<p:grpSp>" * 3_000 + shape("x") + "</p:grpSp>" * 3_000),
        "slide-of-itself": zipped({**parts, "ppt/_rels/presentation.xml.rels": str(parts["_rels/.rels"])}),
        "many-slides": pptx(*[shape("x")] * 500),
    }


def _books() -> dict[str, bytes]:
    return {
        "bomb": zipped({**_BOOK, "c.xhtml": _PAGE.format("x" * BOMB)}),
        "laughs": zipped({**_BOOK, "c.xhtml": _LAUGHS + _PAGE.format("&k;")}),
        "deep-elements": zipped({**_BOOK, "c.xhtml": _PAGE.format("<div>" * 20_000 + "x")}),
        "up-and-out": zipped({**_BOOK, "b.opf": _BOOK["b.opf"].replace("c.xhtml", "../../../etc/hostname")}),
        "no-spine": zipped({**_BOOK, "b.opf": "<package/>"}),
    }


def _mails() -> dict[str, bytes]:
    many = b"".join(b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" for _ in range(5_000))
    return {
        "many-parts": b"From: a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + many,
        "boundary-of-itself": b"From: a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 500,
        "headers-only": b"From: a\r\n" * 20_000,
        "long-header": b"Subject: " + b"=?utf-8?Q?" + b"=41" * 200_000 + b"?=\r\n\r\nbody",
        "bytes-in-header": b"Subject: \xff\xfe\x80\r\nContent-Type: text/plain; charset=\xff\r\n\r\nbody",
    }


def _rtf() -> dict[str, bytes]:
    return {
        "deep": b"{\\rtf1" + b"{" * 200_000 + b"}" * 200_000 + b"}",
        "huge-bin": b"{\\rtf1 a\\bin2147483647 b}",
        "huge-numbers": b"{\\rtf1\\uc999999999\\u9999999999 a\\f9999999999 b}",
        "no-end": b"{\\rtf1 " + b"\\par " * 100_000,
        "closed-twice": b"{\\rtf1 a}}}}",
    }


def _csv() -> dict[str, bytes]:
    return {
        "one-quote": b'a,b\n"' + b"x,y\n" * 50_000,
        "quotes-only": b'"' * 100_001,
        "many-columns": b",".join([b"x"] * 100_000) + b"\n" + b"," * 99_999,
        "huge-cell": b"a,b\n" + b"x" * 4 * MB + b",2\n",
        "empty-cells": b",,,,\n" * 50_000,
    }
