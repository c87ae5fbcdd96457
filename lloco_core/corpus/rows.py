"""Rows of .jsonl and .parquet data as plain dictionaries that JSON and Arrow can hold.

A bad row is yielded as a `Rejected` in its place, so that it costs itself only; damage to the whole file is raised.
Containers of documents (`formats/containers.py`) and manifests (`manifest.py`) are read with these functions.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lloco_core.corpus.decoding import decode_text, without_surrogates
from lloco_core.corpus.reasons import Reason, Rejected

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Row = dict[str, Any]

_BATCH_ROWS = 64
_MAX_DEPTH = 100
"""Of lists and objects within a row: what is nested deeper cannot be sent from process to process."""


def jsonl_rows(data: bytes) -> Iterator[tuple[int, Row | Rejected]]:
    """Yield (line number from 0, row); blank lines count but are no rows."""
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = decode_text(data).encode("utf-8", "replace")
    for number, line in enumerate(data.split(b"\n")):
        if line.strip():
            yield number, _json_row(number, line)


def _json_row(number: int, line: bytes) -> Row | Rejected:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, no UTF-8, or an integer without end
        return Rejected(Reason.ROW_MALFORMED, f"line {number + 1} is not JSON ({type(error).__name__}: {error}); correct or remove it")
    return checked_row(row, f"line {number + 1}")


def checked_row(row: Any, name: str) -> Row | Rejected:
    """A value of JSON as a row, or why it cannot be one; `name` says where it stands."""
    if not isinstance(row, dict):
        return Rejected(Reason.ROW_MALFORMED, f"{name} is a JSON {type(row).__name__}, not an object; correct or remove it")
    if _is_deeper(row, _MAX_DEPTH):
        return Rejected(Reason.ROW_MALFORMED, f"{name} is nested more than {_MAX_DEPTH} deep; flatten or remove it")
    return _plain(row)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return not levels or any(_is_deeper(item, levels - 1) for item in (value.values() if isinstance(value, dict) else value))


def parquet_rows(data: bytes, max_bytes: int, required: str) -> Iterator[tuple[int, Row | Rejected]]:
    """Yield (row number from 0, row) of the columns that hold text, numbers, booleans, or times.

    Raises:
        Rejected: `parquet_damaged`, `too_large_unpacked`, or `row_without_text` when column `required` is missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(pa.BufferReader(data))
        columns = [column.name for column in schema if _is_plain(column.type)]
        strings = [column.name for column in schema if _is_text(column.type)]
        if required not in strings:
            raise Rejected(Reason.ROW_WITHOUT_TEXT, f"no column {required!r} of strings among {schema.names}; name it in the settings")
        # Dictionary-encoded strings stay so in memory: a value repeated a million times must not be unfolded at once.
        file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=strings)
        _refuse_large(file, strings, max_bytes)
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
            for index in range(batch.num_rows):
                yield number, _plain({name: batch.column(name)[index].as_py() for name in columns})
                number += 1
    except (pa.ArrowException, OSError) as error:
        raise Rejected(Reason.PARQUET_DAMAGED, f"not readable as Parquet: {str(error).splitlines()[0]}; write the file again") from error


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    kind = kind.value_type if types.is_dictionary(kind) else kind  # categories of pandas
    return types.is_string(kind) or types.is_large_string(kind)


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return _is_text(kind) or any(test(kind) for test in (types.is_integer, types.is_floating, types.is_boolean, types.is_temporal))


def _refuse_large(file: pq.ParquetFile, strings: list[str], max_bytes: int) -> None:
    pages = sum(file.metadata.row_group(index).total_byte_size for index in range(file.num_row_groups))
    unpacked = max(pages, file.metadata.num_rows)
    if unpacked <= max_bytes:  # then the dictionaries fit into memory, and the text they stand for can be counted
        batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=strings)
        unpacked = sum(_text_bytes(column) for batch in batches for column in batch.columns)
    if unpacked > max_bytes:
        raise Rejected(Reason.TOO_LARGE_UNPACKED, f"unpacks to {unpacked} bytes, more than {max_bytes}; split it or raise corpus.max_bytes")


def _text_bytes(column: pa.Array) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.binary_length(column.dictionary).take(column.indices) if pa.types.is_dictionary(column.type) else pc.binary_length(column)
    return pc.sum(lengths).as_py() or 0


def _plain(row: Row) -> Row:
    text = without_surrogates(json.dumps(row, ensure_ascii=False, default=str))
    return json.loads(text, parse_constant=lambda _: None)  # NaN and infinity: JSON and its readers have neither
