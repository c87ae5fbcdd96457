"""Parquet as rows: of the columns that hold text, numbers, booleans, or times, those with one value each.

A value that Python cannot hold costs nothing or its row (`arrow_values.py`), a damaged row group its own rows, which are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from lloco_core.corpus.arrow_values import BrokenText, column_values, is_binary, is_plain, is_readable, is_text
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.corpus.rows import Row, Rows, plain_row

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH_ROWS = 64


def parquet_rows(data: bytes, max_bytes: int, required: str, exact: Collection[str] = ()) -> Rows:
    """Yield (row number from 0, row).

    Args:
        data: the file.
        max_bytes: bound of what it unpacks to.
        required: the column of texts.
        exact: columns beside it whose text has to be UTF-8, else their row is rejected. Elsewhere U+FFFD stands for the bad bytes.

    Raises:
        Rejected: `parquet_damaged`, `too_large_unpacked`, or `row_without_text` when column `required` is missing.
    """
    file, names = _open(data, required)
    _refuse_large(file, max_bytes, len(data))
    end = 0
    for group in range(file.num_row_groups):
        number, end = end, end + max(0, file.metadata.row_group(group).num_rows)
        damage = "they are missing"
        try:
            for batch in file.iter_batches(_BATCH_ROWS, [group], names):
                for row in _rows(batch, required, {required, *exact}):
                    yield number, row
                    number += 1
        except Exception as error:  # noqa: BLE001 - of a damaged page; the other row groups are sound
            damage = f"{type(error).__name__}: {_first_line(error)}"
        if number < end:
            message = f"rows {number} to {end - 1} are not readable ({damage}); write the file again"
            yield number, Rejected(Reason.PARQUET_DAMAGED, message, _plausible(end - number, len(data)))
        end = max(number, end)


def _open(data: bytes, required: str) -> tuple[pq.ParquetFile, list[str]]:
    """The file, and the names of its columns that are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(pa.BufferReader(data))
        texts = [field.name for field in schema if is_text(field.type)]
        # Dictionary-encoded strings stay so in memory: a value repeated a million times must not be unfolded at once. Times of 96 bits
        # reach from the year -290000 to 290000 in microseconds; in nanoseconds, the default, the year 9999 becomes another one.
        file = pq.ParquetFile(
            pa.BufferReader(data), read_dictionary=texts, coerce_int96_timestamp_unit="us", page_checksum_verification=True
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # UnicodeDecodeError: the name of a column
        raise Rejected(Reason.PARQUET_DAMAGED, f"not readable as Parquet: {_first_line(error)}; write the file again") from error
    if required not in texts:
        message = f"{_missing(schema, required)}; name one of strings in the settings, or write the file again"
        raise Rejected(Reason.ROW_WITHOUT_TEXT, message, _plausible(file.metadata.num_rows, len(data)))
    return file, list(dict.fromkeys(field.name for field in schema if is_plain(field.type)))


def _missing(schema: pa.Schema, required: str) -> str:
    kinds = [str(schema.field(index).type) for index in schema.get_all_field_indices(required)]
    return f"column {required!r} holds {kinds[0][:80]}, not text" if kinds else f"no column {required!r} among {schema.names}"


def _refuse_large(file: pq.ParquetFile, max_bytes: int, n_stored: int) -> None:
    n_rows = file.metadata.num_rows
    pages = sum(file.metadata.row_group(index).total_byte_size for index in range(file.num_row_groups))
    unpacked = max(pages, n_rows)
    if unpacked <= max_bytes:  # then the dictionaries fit into memory, and the text they stand for can be counted
        unpacked = sum(_text_bytes(file, group) for group in range(file.num_row_groups))
    if unpacked > max_bytes:
        message = f"unpacks to {unpacked} bytes, more than {max_bytes}; split it or raise corpus.max_bytes"
        raise Rejected(Reason.TOO_LARGE_UNPACKED, message, _plausible(n_rows, n_stored))


def _text_bytes(file: pq.ParquetFile, group: int) -> int:
    import pyarrow as pa

    texts = list(dict.fromkeys(field.name for field in file.schema_arrow if is_text(field.type)))
    total = 0
    try:
        for batch in file.iter_batches(_BATCH_ROWS, [group], texts):
            total += sum(map(_bytes_in, batch.columns))
    except (pa.ArrowException, OSError):  # a damaged row group: its rows are counted when they are read
        pass
    return total


def _bytes_in(column: pa.Array) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ExtensionArray):
        return _bytes_in(column.storage)
    if not pa.types.is_dictionary(column.type):
        return column.nbytes
    values = column.dictionary
    lengths = (
        pc.binary_length(values) if not pa.types.is_fixed_size_binary(values.type) else pa.array([values.type.byte_width] * len(values))
    )
    return pc.sum(lengths.take(column.indices)).as_py() or 0


def _rows(batch: pa.RecordBatch, required: str, exact: Collection[str]) -> Iterator[Row | Rejected]:
    keys = _keys(batch.schema, required)
    columns = {key: column_values(batch.column(index)) for index, key in keys.items()}
    doubtful = [key for index, key in keys.items() if is_binary(batch.schema.field(index).type) and key != required]
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        if broken := [key for key, value in row.items() if isinstance(value, BrokenText) and key in exact]:
            shown = row[broken[0]][:40]
            yield Rejected(Reason.ROW_MALFORMED, f"column {broken[0]!r} is not UTF-8: {shown!r}; correct or remove the row")
            continue
        for key in doubtful:  # images and vectors are no metadata
            if row[key] is None or not is_readable(row[key]):
                del row[key]
        yield plain_row(row)


def _keys(schema: pa.Schema, required: str) -> dict[int, str]:
    """Column -> its name in a row. Of columns with one name the later ones are numbered; a column of texts comes first."""
    plain = [index for index, field in enumerate(schema) if is_plain(field.type)]
    plain.sort(key=lambda index: schema.field(index).name == required and not is_text(schema.field(index).type))
    keys: dict[int, str] = {}
    for index in plain:
        name, copy = schema.field(index).name, 2
        key = name
        while key in keys.values():
            key, copy = f"{name} ({copy})", copy + 1
        keys[index] = key
    return dict(sorted(keys.items()))


def _plausible(n_rows: int, n_bytes: int) -> int:
    """A number of rows that a damaged or harmful file gives, kept to what may be true."""
    return max(1, min(n_rows, n_bytes))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
