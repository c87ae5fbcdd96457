"""Every format of one document per file, and what is rejected. Run: pytest tests/unit/corpus/test_parse.py"""

from __future__ import annotations

import gzip
import logging
from dataclasses import replace
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import docx
import pytest
import zstandard
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pypdf import PdfWriter

from lloco_core.corpus.demo_pdf import LINES_PER_PAGE, text_pdf
from lloco_core.corpus.formats.registry import BY_SUFFIX
from lloco_core.fingerprint import digest
from lloco_core.types import Rejection

PAGE = """<!DOCTYPE html><html><head><title>Travel &amp; expenses</title></head><body>
<nav><a href="/">Home</a> <a href="/about">About this site</a></nav>
<article><h1>Travel</h1><p>{}</p><p>Write &lt;/s&gt; and &lt;s&gt; literally.</p></article>
<footer>Copyright of the footer</footer></body></html>"""
TEXT_PDF = text_pdf("\n".join(f"line {number}" for number in range(2 * LINES_PER_PAGE + 5)), "Three pages")


def word(build) -> bytes:
    document, saved = docx.Document(), BytesIO()
    build(document)
    document.save(saved)
    return saved.getvalue()


def written(writer: PdfWriter) -> bytes:
    saved = BytesIO()
    writer.write(saved)
    return saved.getvalue()


def locked(user: str, owner: str) -> bytes:
    writer = PdfWriter(clone_from=BytesIO(TEXT_PDF))
    writer.encrypt(user, owner, algorithm="AES-256")
    return written(writer)


def blank_pdf() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    return written(writer)


def zipped(**parts: bytes) -> bytes:
    saved = BytesIO()
    with ZipFile(saved, "w", ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return saved.getvalue()


def test_plain_text(parse):
    (document,) = parse("notes/Meeting minutes.txt", "Ünï\r\nline </s> <s>\n".encode("utf-16"))
    assert document.text == "Ünï\nline </s> <s>\n"
    assert (document.title, document.media_type, document.group, document.page_starts) == ("Meeting minutes", "text/plain", "notes", ())
    assert document.doc_id == digest("file:///corpus/notes/Meeting minutes.txt")
    assert document.etag == "e1"


def test_equal_content_under_two_names_has_two_ids_and_one_hash(parse):
    (first,), (second,) = parse("a.txt", "é\r\n".encode()), parse("b.txt", "e\u0301\n".encode("utf-16"))
    assert first.doc_id != second.doc_id
    assert first.content_hash == second.content_hash


def test_markdown_keeps_its_source_and_gives_its_heading(parse):
    (document,) = parse("x.md", b"# The *title* #\n\n- item\n")
    assert (document.text, document.title, document.media_type) == ("# The *title* #\n\n- item\n", "The *title*", "text/markdown")


def test_html_without_boilerplate(parse):
    (document,) = parse("page.html", PAGE.format("Trains before planes, whenever it takes less than six hours. " * 8).encode())
    assert "Trains before planes" in document.text
    assert "Write </s> and <s> literally." in document.text
    assert not any(words in document.text for words in ("About this site", "Copyright of the footer", "<p>"))
    assert document.title == "Travel & expenses"


def test_short_html_falls_back_to_its_visible_text(parse):
    page = b"<nav>One <b>bold</b></nav><script>var hidden;</script><style>p {}</style><footer>Two<br>Three</footer>"
    assert parse("page.htm", page)[0].text == "One bold\nTwo\nThree"


def test_html_in_its_declared_encoding(parse):
    page = '<html><head><meta charset="windows-1251"><title>Привет</title></head><body><p>мир</p></body></html>'
    (document,) = parse("page.html", page.encode("cp1251"))
    assert (document.text, document.title) == ("мир", "Привет")


def test_xhtml_with_an_encoding_declaration(parse):
    page = '<?xml version="1.0" encoding="iso-8859-1"?><html><head><title>T1</title></head><body><p>café</p></body></html>'
    assert parse("page.xhtml", page.encode("latin-1"))[0].text == "café"


def test_pdf_pages_begin_where_they_are_said_to(parse):
    (document,) = parse("report.pdf", TEXT_PDF)
    assert (document.title, document.media_type, len(document.page_starts)) == ("Three pages", "application/pdf", 3)
    first_lines = [document.text[start:].partition("\n")[0] for start in document.page_starts]
    assert first_lines == ["line 0", f"line {LINES_PER_PAGE}", f"line {2 * LINES_PER_PAGE}"]
    assert document.text[document.page_starts[1] - 2 : document.page_starts[1]] == "\n\n"


def test_empty_pages_keep_the_page_numbers(parse):
    writer = PdfWriter(clone_from=BytesIO(TEXT_PDF))
    writer.insert_blank_page(200, 200, index=0)
    (document,) = parse("report.pdf", written(writer))
    assert (len(document.page_starts), document.page_starts[:2]) == (4, (0, 2))
    assert document.text[document.page_starts[3] :].startswith(f"line {2 * LINES_PER_PAGE}")


def test_pdf_that_only_restricts_printing_is_read(parse):
    assert parse("report.pdf", locked("", "owner"))[0].text.startswith("line 0\n")


def test_docx_paragraphs_and_tables_in_order(parse):
    def build(document):
        document.core_properties.title = "Price list"
        document.add_paragraph("Before")
        table = document.add_table(rows=2, cols=3)
        table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
        table.cell(0, 2).text = "c"
        for column, text in enumerate("xyz"):
            table.cell(1, column).text = text
        document.add_paragraph("After </s>")

    (document,) = parse("prices.docx", word(build))
    assert document.text == "Before\nwide\tc\nx\ty\tz\nAfter </s>"
    assert document.title == "Price list"


def test_docx_content_controls_and_insertions_are_text(parse):
    def build(document):
        control = parse_xml(f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p><w:r><w:t>In a control</w:t></w:r></w:p></w:sdtContent></w:sdt>")
        document.add_paragraph("First")._p.addnext(control)
        inserted = parse_xml(f"<w:ins {nsdecls('w')} w:id='1' w:author='a'><w:r><w:t>, inserted</w:t></w:r></w:ins>")
        document.add_paragraph("Last")._p.append(inserted)

    assert parse("a.docx", word(build))[0].text == "First\nIn a control\nLast, inserted"


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", zstandard.compress)])
def test_compressed_text_markdown_and_html(parse, suffix, pack):
    assert parse(f"a.txt.{suffix}", pack(b"plain"))[0].text == "plain"
    assert parse(f"a.md.{suffix}", pack(b"# Head\n"))[0].title == "Head"
    (page,) = parse(f"dir/a.html.{suffix}", pack(b"<p>text</p>"))
    assert (page.text, page.title, page.media_type) == ("text", "a", "text/html")


REJECTED = [
    ("zero.txt", b"", "empty"),
    ("blank.txt", b" \r\n\t\n", "empty"),
    ("blank.docx", word(lambda document: None), "empty"),
    ("image.txt", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary"),
    ("program.md", b"\x7fELF\x02\x01\x01\x00" + bytes(56), "binary"),
    ("image.html", b"GIF89a\x00\x00", "binary"),
    ("table.xlsx", b"PK", "file_damaged"),
    ("README", b"text", "unknown_format"),
    ("bare.gz", gzip.compress(b"text"), "unknown_format"),
    ("cut.txt.gz", gzip.compress(b"text" * 100)[:-5], "archive_damaged"),
    ("plain.md.zst", b"not compressed", "archive_damaged"),
    ("truncated.pdf", TEXT_PDF[: len(TEXT_PDF) // 2], "pdf_damaged"),
    ("other.pdf", b"hello", "pdf_damaged"),
    ("no-objects.pdf", b"%PDF-1.4\nnothing\n%%EOF", "pdf_damaged"),
    ("no-pages.pdf", written(PdfWriter()), "pdf_damaged"),
    ("locked.pdf", locked("secret", "owner"), "pdf_encrypted"),
    ("scan.pdf", blank_pdf(), "pdf_no_text"),
    ("cut.docx", word(lambda document: document.add_paragraph("x"))[:-300], "docx_damaged"),
    ("text.docx", b"hello", "docx_damaged"),
    ("zip.docx", zipped(x=b"y"), "docx_damaged"),
    ("old.docx", b"\xd0\xcf\x11\xe0" + bytes(600), "docx_damaged"),
    ("bomb.docx", zipped(x=bytes(33 * 2**20)), "too_large_unpacked"),
    ("script.html", b"<html><body><script>write()</script></body></html>", "html_no_text"),
    ("comment.html", b"<!-- -->", "html_no_text"),
]


@pytest.mark.parametrize(("name", "data", "code"), REJECTED, ids=[name for name, _, _ in REJECTED])
def test_bad_input_is_one_rejection_with_its_code(parse, caplog, name, data, code):
    with caplog.at_level(logging.DEBUG, logger="pypdf"):
        (rejection,) = parse(name, data)
    assert isinstance(rejection, Rejection)
    assert (rejection.code, rejection.stage, rejection.uri, rejection.etag) == (code, "parse", f"file:///corpus/{name}", "e1")
    assert ";" in rejection.message, "a message ends with the next step"
    assert caplog.records == []


def test_limits(parse):
    assert parse("a.txt", b"12345", max_bytes=5)[0].text == "12345"
    assert parse("a.txt", b"123456", max_bytes=5)[0].code == "too_large"
    assert parse("a.txt.gz", gzip.compress(b"1" * 101), max_bytes=100)[0].code == "too_large_unpacked"
    assert parse("a.pdf", TEXT_PDF, max_bytes=len(TEXT_PDF))[0].title == "Three pages"


@pytest.mark.parametrize("error", [RecursionError("too deep"), MemoryError(), KeyError("/Font"), ZeroDivisionError("first\nsecond")])
def test_any_failure_of_a_parser_is_a_rejection(parse, monkeypatch, error):
    def fail(data: bytes, max_bytes: int):
        raise error

    monkeypatch.setitem(BY_SUFFIX, ".txt", replace(BY_SUFFIX[".txt"], read=fail))
    (rejection,) = parse("a.txt", b"text")
    assert rejection.code == "parser_failed"
    assert rejection.message.startswith(type(error).__name__)
    assert "second" not in rejection.message


def test_deeply_nested_html_does_not_end_the_process(parse):
    (result,) = parse("deep.html", b"<div>" * 50_000 + b"text" + b"</div>" * 50_000)
    assert isinstance(result, Rejection)


@pytest.mark.parametrize(
    ("metadata_title", "heading", "expected"),
    [("From metadata", "H", "From metadata"), ("  ", "H", "H"), ("Untitled", "H", "H"), (7, "H", "H"), (None, "x" * 300, "file name")],
)
def test_title_is_the_first_sensible_one(parse, metadata_title, heading, expected):
    (document,) = parse("file name.md", f"# {heading}\n".encode(), {"title": metadata_title})
    assert document.title == expected


@pytest.mark.parametrize("given", ["report-1", "a" * 256, "Ünï 42", 17])
def test_given_ids_are_used(parse, given):
    assert parse("a.txt", b"x", {"doc_id": given})[0].doc_id == str(given)


@pytest.mark.parametrize("given", ["", "a" * 257, "a/b", "a\\b", "..", "a\nb", "a\x00", " a", True, 1.5, ["a"]])
def test_unusable_ids_reject_the_document(parse, given):
    assert parse("a.txt", b"x", {"doc_id": given})[0].code == "id_invalid"
