"""Files under the suffix of another format. Run: pytest tests/unit/corpus/test_suffixes.py"""

from __future__ import annotations

import gzip
from io import BytesIO

import docx
import pytest
import zstandard

from lloco_core.corpus.demo_pdf import text_pdf
from tests.harmful_files import parquet
from tests.office_packages import pptx, row, shape, xlsx

PDF = text_pdf("words", "T")
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def word() -> bytes:
    document, saved = docx.Document(), BytesIO()
    document.add_paragraph("words")
    document.save(saved)
    return saved.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("a.txt", PDF, "application/pdf"),
        ("a.docx", PDF, "application/pdf"),
        ("a", PDF, "application/pdf"),
        ("a.doc", word(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.pdf", word(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.zip", pptx(shape("words")), "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        ("a.docx", xlsx(row(1, "words")), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.doc", b"<html><body><p>words</p></body></html>", "text/html"),
        ("a.xls", b"\xef\xbb\xbf<!-- made -->\n<!DOCTYPE html><html><body><p>words</p></body></html>", "text/html"),
        ("a.xls", b"words\t1\nmore\t2\n", "text/csv"),
        ("a.csv", parquet([{"text": "words"}]), "application/vnd.apache.parquet"),
        ("a.txt", gzip.compress(b"words"), "text/plain"),
        ("a.md", zstandard.compress(b"words"), "text/markdown"),
    ],
)
def test_the_content_decides_where_it_is_certain(parse, name, data, media_type):
    (document,) = parse(name, data)
    assert document.media_type == media_type
    assert "words" in document.text


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"<html>words"),
        ("a.md", b"From: a\nMIME-Version: 1.0\n\nwords"),
        ("a.txt", b"see %PDF-1.4 words"),
        ("a.log", b"PAR words"),
    ],
)
def test_text_about_a_format_stays_text(parse, name, data):
    assert parse(name, data)[0].text == data.decode()


@pytest.mark.parametrize(
    ("name", "data", "code", "words"),
    [
        ("a.doc", OLE + "WordDocument".encode("utf-16-le"), "unknown_format", "an old Word file"),
        ("a.ppt", OLE + "PowerPoint Document".encode("utf-16-le"), "unknown_format", "an old PowerPoint file"),
        ("a.msg", OLE + "__substg1.0_001".encode("utf-16-le"), "unknown_format", "an Outlook message"),
        ("a.bin", b"SQLite format 3\0" + bytes(90), "unknown_format", "an SQLite database"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(90), "unknown_format", "a JPEG picture"),
        ("a.zip", b"PK\x03\x04" + bytes(90), "unknown_format", "a ZIP archive"),
        ("a.xls", b'<?xml version="1.0"?><Workbook><Cell>words</Cell></Workbook>', "file_damaged", "open and save it in its own program"),
        ("a.exe", b"what", "unknown_format", "suffix '.exe'"),
    ],
)
def test_a_rejection_says_what_the_file_looks_like(parse, name, data, code, words):
    (rejection,) = parse(name, data)
    assert rejection.code == code
    assert words in rejection.message
