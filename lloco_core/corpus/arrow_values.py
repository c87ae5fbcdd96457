"""Values of Arrow columns as Python holds them, one bad value costing nothing but itself.

Text may stand in any string or binary type, in dictionaries, run-end encoded, or in an extension type over one of these. Times that
Python cannot hold (after the year 9999, of an unknown time zone) become ISO text in UTC, so nothing of them is lost. Text that is not UTF-8
becomes `BrokenText`; whoever needs it exactly can tell.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_LINE_CHARACTERS = str.maketrans("", "", "\n\r\t")


class BrokenText(str):
    """Text with U+FFFD for the bytes that are not UTF-8."""


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold text."""
    import pyarrow.types as types

    kind = _values_of(kind)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or is_binary(kind)


def is_binary(kind: pa.DataType) -> bool:
    """Whether what the column holds is not said to be text; it may be."""
    import pyarrow.types as types

    kind = _values_of(kind)
    tests = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def is_plain(kind: pa.DataType) -> bool:
    """Whether a column holds text, ids, numbers, booleans, or times: what goes into a row."""
    import pyarrow.types as types

    tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_temporal)
    return is_text(kind) or _is_uuid(kind) or any(test(_values_of(kind)) for test in tests)


def column_values(column: pa.Array) -> list[Any]:
    """The values of a column that is plain; None for null."""
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType) and not _is_uuid(kind):
        return column_values(column.storage)
    if pa.types.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return column_values(pc.run_end_decode(column))
    if is_binary(kind) and not _is_uuid(kind):
        padded = pa.types.is_fixed_size_binary(_values_of(kind))
        return [None if value is None else _text(value.rstrip(b"\0") if padded else value) for value in _bytes(column)]
    try:
        values = column.to_pylist()
    except Exception:  # noqa: BLE001 - time zones, dates, and encodings fail in their own ways, in more than one library
        values = _bad_values(column)
    return [_plain_number(value) for value in values] if pa.types.is_decimal(kind) else values


def is_readable(text: str) -> bool:
    """Whether bytes that were not said to be text are."""
    return not isinstance(text, BrokenText) and (text.isprintable() or text.translate(_LINE_CHARACTERS).isprintable())


def _values_of(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType) and not _is_uuid(kind):
        return _values_of(kind.storage_type)
    return _values_of(kind.value_type) if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind) else kind


def _is_uuid(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return isinstance(kind, pa.UuidType)


def _bad_values(column: pa.Array) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return column_values(column.dictionary_decode())
    if is_text(column.type):
        return [None if value is None else _text(value) for value in _bytes(column)]
    return [_value(column, index) for index in range(len(column))]


def _bytes(column: pa.Array) -> list[bytes | None]:
    import pyarrow as pa

    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return (column if pa.types.is_fixed_size_binary(column.type) else column.cast(pa.large_binary())).to_pylist()


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return BrokenText(value.decode(errors="replace"))


def _value(column: pa.Array, index: int) -> Any:
    try:
        return column[index].as_py()
    except Exception:  # noqa: BLE001 - as for the whole column
        return _iso(column, index)


def _iso(column: pa.Array, index: int) -> str:
    """As `str` writes a time or a duration, in the unit of the column, without the bounds of Python's types."""
    import pyarrow as pa

    text = str(column.slice(index, 1).to_numpy(zero_copy_only=False)[0]).replace("T", " ")
    return f"{text}+00:00" if pa.types.is_timestamp(column.type) and column.type.tz else text


def _plain_number(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) and value.as_tuple().exponent >= 0 else value
