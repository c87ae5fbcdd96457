"""Bytes before, behind, and missing at the end of a PDF. Run: pytest tests/unit/corpus/test_pdf_frame.py"""

from __future__ import annotations

from io import BytesIO

import pytest
from pypdf import PdfWriter

from lloco_core.corpus.demo_pdf import LINES_PER_PAGE, text_pdf

PAGES = text_pdf("\n".join(f"line {number}" for number in range(3 * LINES_PER_PAGE)), "Three pages")


def updated(data: bytes) -> bytes:
    """With a second revision behind the first: two end marks."""
    writer, saved = PdfWriter(BytesIO(data), incremental=True), BytesIO()
    writer.add_metadata({"/Title": "Changed title, long enough to be cut"})
    writer.write(saved)
    return saved.getvalue()


WHOLE = {
    "headers of a web server": b"HTTP/1.1 200 OK\r\n" + b"X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 60 + b"\r\n" + PAGES,
    "blanks before": b"\n" * 3000 + PAGES,
    "mark before": b"\xef\xbb\xbf" + PAGES,
    "nulls behind": PAGES + bytes(100_000),
    "a page behind": PAGES + b"<html><body>Saved by a proxy</body></html>" * 300,
    "an archive behind": PAGES + b"PK\x03\x04" + bytes(range(256)) * 50,
    "both": b"junk\n" * 500 + PAGES + b"\x1a" * 9000,
    "no end mark": PAGES[: PAGES.rindex(b"%%EOF")],
    "half an end mark": PAGES[: PAGES.rindex(b"%%EOF") + 3],
    "an update": updated(PAGES),
    "an update, and nulls behind": updated(PAGES) + bytes(9000),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_file_is_read_whatever_stands_around_it(parse, case):
    (document,) = parse("a.pdf", WHOLE[case])
    assert document.text.splitlines()[-1] == f"line {3 * LINES_PER_PAGE - 1}"
    assert len(document.page_starts) == 3


CUT = {
    "in the middle": PAGES[: len(PAGES) // 2],
    "before the table": PAGES[: PAGES.rindex(b"xref\n0")],
    "in the pointer to the table": PAGES[: PAGES.rindex(b"%%EOF") - 4],
    "in an update": updated(PAGES)[: PAGES.rindex(b"%%EOF") + 40],
    "in an update, behind an object": updated(PAGES)[: updated(PAGES).rindex(b"endobj") + 6],
    "the beginning": PAGES[400:],
    "no PDF": b"<html>Not found</html>",
}


@pytest.mark.parametrize("case", CUT)
def test_a_truncated_file_is_damaged(parse, case):
    (rejection,) = parse("a.pdf", CUT[case])
    assert rejection.code == "pdf_damaged"
    assert "fetch the file again" in rejection.message
