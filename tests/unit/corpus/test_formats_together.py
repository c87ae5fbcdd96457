"""Archives, stated encodings, suffixes, and containers in one file. Run: pytest tests/unit/corpus/test_formats_together.py"""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest

from lloco_core.corpus.formats.registry import BY_SUFFIX
from lloco_core.corpus.patterns import IN_ONE_ENCODING
from tests.unit.corpus.test_word_parts import paragraph, word_file

CZECH = "Příliš žluťoučký kůň"
TABLE = f"text;n\n{CZECH};1\n"
PAGE = f"<html><body><h2>Ceník</h2><p>{CZECH}</p></body></html>"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def test_every_suffix_with_an_encoding_is_read():
    assert set(BY_SUFFIX) >= IN_ONE_ENCODING


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv.gz", gzip.compress(TABLE.encode("cp1250"))),
        ("a.tab.xz", lzma.compress(TABLE.replace(";", "\t").encode("cp1250"))),
        ("a.xls", TABLE.encode("cp1250")),
        ("a.doc", PAGE.encode("cp1250")),
        ("a.html.bz2", bz2.compress(PAGE.encode("cp1250"))),
        ("a.json", f'[{{"text": "{CZECH}"}}]'.encode("cp1250")),
        ("a.docx.xz", lzma.compress(word_file(paragraph(CZECH)))),
        ("a.txt", bz2.compress(CZECH.encode("cp1250"))),
        ("a.txt", lzma.compress(word_file(paragraph(CZECH)))),
    ],
)
def test_a_stated_encoding_reaches_text_and_nothing_else(parse, name, data):
    (document,) = parse(name, data, encoding="windows-1250")
    assert CZECH in document.text


def test_packed_lines_without_a_suffix_that_says_so_are_counted_as_lost(parse):
    lines = b"".join(b'{"text": "row %d"}\n' % number for number in range(3000))
    *documents, lost = parse("a.jsonl", gzip.compress(lines) + gzip.compress(lines)[:-4000])
    assert len(documents) >= 3000
    assert (lost.code, lost.uri.rpartition("#")[2]) == ("archive_damaged", f"row-{len(documents)}")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.json.gz", "a.txt.gz", "a.eml.gz"])
def test_a_file_that_is_no_container_of_lines_is_rejected_whole(parse, name):
    (rejection,) = parse(name, gzip.compress(TABLE.encode() * 100)[:-9])
    assert rejection.code == "archive_damaged"


def test_a_table_within_an_old_word_file_is_not_the_file(parse):
    (rejection,) = parse("a.doc", OLE + "WordDocument".encode("utf-16-le") + "Workbook".encode("utf-16-le"))
    assert rejection.code == "unknown_format"
    assert "an old Word file" in rejection.message


def test_few_zero_bytes_of_utf_16_are_no_dirt(parse):
    text = "港" * 300
    (document,) = parse("a.csv", ("\ufeff" + f"text,n\n{text},1\n").encode("utf-16-le"))
    assert document.text == text
