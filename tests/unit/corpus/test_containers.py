"""Rows of jsonl and Parquet as documents. Run: pytest tests/unit/corpus/test_containers.py"""

from __future__ import annotations

import datetime
import gzip
import json
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from lloco_core.fingerprint import digest
from lloco_core.types import Document, Rejection


def parquet(**columns) -> bytes:
    saved = BytesIO()
    pq.write_table(pa.table(columns), saved)
    return saved.getvalue()


def outcome(results: list[Document | Rejection]) -> list[tuple[str, str]]:
    """(name of the row, its text or reason code)"""
    return [(result.uri.partition("#")[2], result.text if isinstance(result, Document) else result.code) for result in results]


def test_bad_rows_cost_only_themselves(parse):
    lines = [
        b'{"text": "first </s>", "title": "One"}',
        b"{broken",
        b"",
        b'{"text": ""}',
        b'{"body": "x"}',
        b'{"text": 5}',
        b'["text"]',
        b'{"text": "caf\xe9"}',
        b"[" * 100_000,
        b'{"text": "nested", "meta": ' + b'{"a":' * 480 + b"1" + b"}" * 481,
        b'{"text": "\\ud800 last"}',
    ]
    results = parse("dir/notes.jsonl", b"\n".join(lines))
    assert outcome(results) == [
        ("row-0", "first </s>"),
        ("row-1", "row_malformed"),
        ("row-3", "row_without_text"),
        ("row-4", "row_without_text"),
        ("row-5", "row_without_text"),
        ("row-6", "row_malformed"),
        ("row-7", "row_malformed"),
        ("row-8", "row_malformed"),
        ("row-9", "row_malformed"),
        ("row-10", "\ufffd last"),
    ]
    assert (results[0].title, results[-1].title, results[0].group) == ("One", "notes row-10", "dir")
    assert results[0].doc_id == digest("file:///corpus/dir/notes.jsonl#row-0")


def test_appending_rows_changes_no_earlier_id(parse):
    first = b'{"text": "a"}\n{"text": "b"}\n'
    before, after = parse("x.jsonl", first), parse("x.jsonl", first + b'{"text": "c"}\n')
    assert [document.doc_id for document in after[:2]] == [document.doc_id for document in before]


def test_given_ids_name_the_rows(parse):
    rows = [{"id": "a b", "text": "1"}, {"id": 7, "text": "2"}, {"id": "a b", "text": "3"}, {"text": "4"}, {"id": "x/y", "text": "5"}]
    results = parse("x.jsonl", "\n".join(map(json.dumps, rows)).encode(), id_field="id")
    assert outcome(results) == [("a%20b", "1"), ("7", "2"), ("row-2", "id_duplicate"), ("row-3", "id_invalid"), ("row-4", "id_invalid")]
    assert [results[0].doc_id, results[1].doc_id] == ["a b", "7"]


def test_metadata_is_the_other_fields_over_the_manifests(parse):
    row = b'{"body": "text", "year": 2024, "group": "hr", "score": NaN}'
    (document,) = parse("x.ndjson", row, {"group": "all", "doc_id": "container", "source": "mail"}, text_field="body")
    assert document.metadata == {"group": "hr", "source": "mail", "year": 2024, "score": None}
    assert (document.group, document.doc_id) == ("hr", digest("file:///corpus/x.ndjson#row-0"))


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", zstandard.compress)])
def test_compressed_jsonl(parse, suffix, pack):
    assert outcome(parse(f"x.jsonl.{suffix}", pack(b'{"text": "a"}\n{"text": "b"}\n'))) == [("row-0", "a"), ("row-1", "b")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_jsonl_in_wide_characters_without_a_mark(parse, encoding):
    data = '{"text": "The first row of some"}\n{"text": "The second one"}\n'.encode(encoding)
    assert outcome(parse("x.jsonl", data)) == [("row-0", "The first row of some"), ("row-1", "The second one")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_jsonl_with_a_byte_order_mark(parse, encoding):
    assert outcome(parse("x.jsonl", '{"text": "ä"}\n'.encode(encoding))) == [("row-0", "ä")]


def test_parquet_rows(parse):
    data = parquet(
        text=pa.array(["ä\r\n", None, "c"], pa.large_string()),
        day=[datetime.date(2024, 5, 1)] * 3,
        score=[float("nan"), 1.0, 2.5],
        vector=[[1.0, 2.0]] * 3,
        image=[b"\x00"] * 3,
    )
    results = parse("x.parquet", data)
    assert outcome(results) == [("row-0", "ä\n"), ("row-1", "row_without_text"), ("row-2", "c")]
    assert [results[0].metadata, results[2].metadata] == [{"day": "2024-05-01", "score": None}, {"day": "2024-05-01", "score": 2.5}]


def test_parquet_categories_are_text(parse):
    assert outcome(parse("x.parquet", parquet(text=pa.array(["a", "b", "a"]).dictionary_encode()))) == [
        ("row-0", "a"),
        ("row-1", "b"),
        ("row-2", "a"),
    ]


def test_text_repeated_by_a_dictionary_counts_in_full(parse):
    data = parquet(text=["x" * 1000] * 100_000)
    assert len(data) < 100_000
    (rejection,) = parse("bomb.parquet", data)
    assert rejection.code == "too_large_unpacked"
    assert "100000000 bytes" in rejection.message


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("none.jsonl", b"\n\n", "empty"),
        ("none.parquet", parquet(text=pa.array([], pa.string())), "empty"),
        ("other.parquet", parquet(body=["x"]), "row_without_text"),
        ("numbers.parquet", parquet(text=[1, 2]), "row_without_text"),
        ("cut.parquet", parquet(text=["x" * 1000])[:-20], "parquet_damaged"),
        ("text.parquet", b"hello", "parquet_damaged"),
    ],
)
def test_unusable_containers_are_one_rejection(parse, name, data, code):
    (rejection,) = parse(name, data)
    assert (rejection.code, rejection.uri) == (code, f"file:///corpus/{name}")
