"""Parquet as documents: odd values, odd types, damaged parts. Run: pytest tests/unit/corpus/test_parquet.py"""

from __future__ import annotations

import uuid
from decimal import Decimal
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lloco_core.corpus.arrow_values import column_values
from lloco_core.types import Document

N = 200
TEXTS = [f"document number {number}" for number in range(N)]
BAD = 10


def parquet(table: pa.Table, **options) -> bytes:
    saved = BytesIO()
    pq.write_table(table, saved, **options)
    return saved.getvalue()


def not_utf8(kind: pa.DataType, values: list[bytes]) -> pa.Array:
    """A column of strings that holds other bytes."""
    plain = pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())
    return plain.cast(pa.binary()).view(pa.string()) if kind == pa.string() else plain.dictionary_encode()


def one(bad: object, good: object, kind: pa.DataType) -> pa.Array:
    return pa.array([bad if number == BAD else good for number in range(N)], kind)


def read(parse, table: pa.Table, **options) -> tuple[dict[int, Document], list]:
    """Row number -> document, and the rejections."""
    found = parse("x.parquet", parquet(table), **options)
    documents = {int(item.uri.rpartition("-")[2]): item for item in found if isinstance(item, Document)}
    return documents, [item for item in found if not isinstance(item, Document)]


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (one(253402300800000, 0, pa.timestamp("ms")), "10000-01-01 00:00:00.000"),
        (one(-(10**12), 0, pa.timestamp("s")), "-29719-04-05 22:13:20.000"),
        (one(2932897, 0, pa.date32()), "10000-01-01"),
        (one(-800_000, 0, pa.date32()), "-221-09-04"),
        (one(253402300800000, 0, pa.date64()), "10000-01-01"),
        (one(2**62, 0, pa.duration("s")), "4611686018427387904 seconds"),
        (one(253402300800, 0, pa.timestamp("s", "Europe/Berlin")), "10000-01-01 00:00:00.000+00:00"),
        (one(0, 0, pa.timestamp("s", "Mars/Olympus")), "1970-01-01 00:00:00.000+00:00"),
        (one(0, 0, pa.timestamp("us", "+99:99")), "1970-01-01 00:00:00.000000+00:00"),
        (one(1, 0, pa.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
    ],
)
def test_times_that_python_cannot_hold_are_kept_as_text(parse, column, shown):
    """Parquet itself has no unit of seconds."""
    documents, rejected = read(parse, pa.table({"text": TEXTS, "day": column}))
    assert (sorted(documents), rejected) == (list(range(N)), [])
    assert documents[BAD].metadata["day"] == shown


@pytest.mark.parametrize("kind", [pa.string(), "dictionary"])
def test_metadata_that_is_not_utf8_keeps_its_row(parse, kind):
    column = not_utf8(kind, [b"caf\xe9" if number == BAD else b"caf\xc3\xa9" for number in range(N)])
    documents, rejected = read(parse, pa.table({"text": TEXTS, "author": column}))
    assert (sorted(documents), rejected) == (list(range(N)), [])
    assert [documents[number].metadata["author"] for number in (BAD - 1, BAD)] == ["café", "caf\ufffd"]


@pytest.mark.parametrize("name", ["text", "id", "group"])
@pytest.mark.parametrize("kind", [pa.string(), "dictionary"])
def test_a_text_an_id_or_a_group_that_is_not_utf8_costs_its_row(parse, name, kind):
    values = [b"x\xff" if number == BAD else f"x{number}".encode() for number in range(N)]
    columns = {"text": pa.array(TEXTS), "id": pa.array([str(number) for number in range(N)]), name: not_utf8(kind, values)}
    found = parse("x.parquet", parquet(pa.table(columns)), id_field="id")
    rejected = [item for item in found if not isinstance(item, Document)]
    assert len(found) - len(rejected) == N - 1
    assert [(item.code, item.uri.rpartition("#")[2], item.n_documents) for item in rejected] == [("row_malformed", f"row-{BAD}", 1)]
    assert repr(name) in rejected[0].message


def test_columns_of_one_name_are_all_kept(parse):
    table = pa.table([pa.array(TEXTS), pa.array(["first"] * N), pa.array([1] * N), pa.array(["third"] * N)], names=["text", "a", "a", "a"])
    documents, rejected = read(parse, table)
    assert (len(documents), rejected) == (N, [])
    assert documents[0].metadata == {"a": "first", "a (2)": 1, "a (3)": "third"}


def test_of_columns_with_the_name_of_the_text_the_one_with_text_is_it(parse):
    documents, _ = read(parse, pa.table([pa.array([1] * N), pa.array(TEXTS)], names=["text", "text"]))
    assert (documents[3].text, documents[3].metadata) == (TEXTS[3], {"text (2)": 1})


def test_names_with_dots_beside_structs(parse):
    table = pa.table([pa.array(TEXTS), pa.array(["x"] * N), pa.array([{"b": 1}] * N)], names=["text", "a.b", "a"])
    documents, rejected = read(parse, table)
    assert (len(documents), rejected) == (N, [])
    assert documents[0].metadata["a.b"] == "x"


WORDS = ["Grüße", "x", None, "日本"]
BYTES = [None if word is None else word.encode() for word in WORDS]


@pytest.mark.parametrize(
    "column",
    [
        *(pa.array(WORDS, kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        *(pa.array(BYTES, kind) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())),
        pa.array([None if value is None else value.ljust(12, b"\0") for value in BYTES], pa.binary(12)),
        pa.array(WORDS).dictionary_encode(),
        pa.array(WORDS, pa.large_string()).dictionary_encode(),
        pa.array(BYTES).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2], pa.int64()), pa.array(["Grüße", "x", "日本"])),
        pa.array(WORDS, pa.json_(pa.string())),
        pa.array(WORDS, pa.json_(pa.large_string())),
        pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "text", "vendor"), pa.array(WORDS)),
    ],
    ids=lambda column: str(column.type),
)
def test_text_of_every_type_is_read(parse, column):
    found = parse("x.parquet", parquet(pa.table({"text": column, "title": column})))
    assert [getattr(item, "text", None) for item in found] == WORDS
    assert found[2].code == "row_without_text"
    assert [found[0].title, found[3].title] == ["Grüße", "日本"]


@pytest.mark.parametrize("values", [pa.array(["a", "b"]), pa.array([b"a", b"b"])])
def test_run_end_encoded_text_is_read(values):
    """Parquet does not hold such columns, other files of Arrow do."""
    assert column_values(pa.RunEndEncodedArray.from_arrays([2, 3], values)) == ["a", "a", "b"]


def test_binary_columns_are_metadata_where_they_hold_text(parse):
    table = pa.table({"text": [b"one", b"caf\xe9"], "author": [b"Jos\xc3\xa9", None], "image": [b"\x89PNG\r\n\x1a\n", b"\x00\x01"]})
    first, second = parse("x.parquet", parquet(table))
    assert (first.text, first.metadata) == ("one", {"author": "José"})
    assert (second.code, second.uri) == ("row_malformed", "file:///corpus/x.parquet#row-1")


def test_ids_of_databases(parse):
    """Whole decimals of data warehouses, and UUIDs."""
    key = uuid.UUID(int=7)
    table = pa.table({"text": ["a"], "id": pa.array([Decimal(12)], pa.decimal128(38, 0)), "price": pa.array([Decimal("1.50")])})
    (found,) = parse("x.parquet", parquet(table), id_field="id")
    assert (found.doc_id, found.metadata["price"]) == ("12", "1.50")
    table = pa.table({"text": ["a"], "key": pa.array([key.bytes], pa.uuid())})
    (found,) = parse("x.parquet", parquet(table), id_field="key")
    assert found.doc_id == str(key)


def test_times_of_96_bits_reach_beyond_nanoseconds(parse):
    """In nanoseconds the year 9999 becomes 1816, silently."""
    table = pa.table({"text": ["a"], "end": pa.array([253402300799000000], pa.timestamp("us"))})
    (found,) = parse("x.parquet", parquet(table, use_deprecated_int96_timestamps=True))
    assert found.metadata["end"] == "9999-12-31 23:59:59"


def damaged(table: pa.Table, group: int, column: str, **options) -> bytes:
    """A file of row groups of 50 rows in which the pages of one column of one group are overwritten."""
    data = bytearray(parquet(table, row_group_size=50, **options))
    part = pq.read_metadata(BytesIO(bytes(data))).row_group(group)
    chunk = next(part.column(index) for index in range(part.num_columns) if part.column(index).path_in_schema == column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    return bytes(data)


@pytest.mark.parametrize("group", [0, 1, 3])
@pytest.mark.parametrize("column", ["text", "author"])
@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_a_damaged_row_group_costs_its_rows_and_counts_them(parse, group, column, compression):
    table = pa.table({"text": TEXTS, "author": [f"author {number}" for number in range(N)]})
    found = parse("x.parquet", damaged(table, group, column, compression=compression))
    documents = [item for item in found if isinstance(item, Document)]
    [rejection] = [item for item in found if not isinstance(item, Document)]
    lost = set(range(50 * group, 50 * group + 50))
    assert {int(item.uri.rpartition("-")[2]) for item in documents} == set(range(N)) - lost
    assert (rejection.code, rejection.uri.rpartition("#")[2], rejection.n_documents) == ("parquet_damaged", f"row-{50 * group}", 50)


def test_a_changed_byte_is_found_where_the_file_has_checksums(parse):
    data = parquet(pa.table({"text": TEXTS}), compression="none", use_dictionary=False, write_page_checksum=True, row_group_size=50)
    found = parse("x.parquet", data.replace(b"number 120", b"number 999"))
    assert [item.code for item in found if not isinstance(item, Document)] == ["parquet_damaged"]
    assert len(found) == N - 50 + 1


def test_what_is_refused_as_a_whole_counts_its_rows(parse):
    (other,) = parse("x.parquet", parquet(pa.table({"body": TEXTS})))
    assert (other.code, other.n_documents) == ("row_without_text", N)
    (large,) = parse("x.parquet", parquet(pa.table({"text": ["x" * 1000] * N})), max_bytes=50_000)
    assert (large.code, large.n_documents) == ("too_large_unpacked", N)


def test_a_name_that_is_not_utf8_is_a_reason(parse):
    data = parquet(pa.table({"text": TEXTS, "autho": TEXTS})).replace(b"autho", b"auth\xff")
    (rejection,) = parse("x.parquet", data)
    assert rejection.code == "parquet_damaged"


def test_a_row_that_fails_in_an_unknown_way_costs_itself(parse, monkeypatch):
    from lloco_core.corpus.formats import containers

    build = containers.build_document

    def failing(read, *rest):
        if read.text == TEXTS[BAD]:
            raise KeyError("no such thing")
        return build(read, *rest)

    monkeypatch.setattr(containers, "build_document", failing)
    documents, rejected = read(parse, pa.table({"text": TEXTS}))
    assert (len(documents), [(item.code, item.uri.rpartition("#")[2]) for item in rejected]) == (N - 1, [("parser_failed", f"row-{BAD}")])


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([["one", "two"]]), "list<"),
        (pa.nulls(1), "holds null"),
        (pa.array([{"en": "one"}]), "struct<"),
        (pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())), "map<"),
    ],
)
def test_a_text_column_of_another_type_is_named_with_its_type(parse, column, said):
    (rejection,) = parse("x.parquet", parquet(pa.table({"text": column})))
    assert rejection.code == "row_without_text"
    assert said in rejection.message
    assert "write the file again" in rejection.message
