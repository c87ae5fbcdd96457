"""Rows of JSON, JSON-lines, CSV, and Parquet files whose fields are checked as they are read.

A `Row` knows where it stands, so that an error names the file, the row, and the field: `dev.jsonl, row 3, questions[0]: no 'answer'`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lloco_core.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Row:
    """An object of a file and its place."""

    place: str
    values: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        """A string that is not blank."""
        value = self._value(name, str, "a string")
        if not value.strip():
            raise DatasetError(f"{self.place}: {name!r} is blank; fill it or leave the row out")
        return value

    def number(self, name: str) -> int:
        """A whole number."""
        return self._value(name, int, "a whole number")

    def identity(self, name: str) -> str:
        """A string or whole number as a string."""
        return str(self.number(name)) if isinstance(self.values.get(name), int) else self.text(name)

    def row(self, name: str) -> Row:
        """A nested object."""
        return Row(f"{self.place}, {name}", self._value(name, dict, "an object"))

    def rows(self, name: str) -> list[Row]:
        """A list of objects."""
        items = self._value(name, list, "a list of objects")
        return [Row(f"{self.place}, {name}[{order}]", _object(f"{self.place}, {name}[{order}]", item)) for order, item in enumerate(items)]

    def texts(self, name: str) -> list[str]:
        """A list of strings."""
        items = self._value(name, list, "a list of strings")
        if not all(isinstance(item, str) for item in items):
            raise DatasetError(f"{self.place}: {name!r} holds something that is no string; expected a list of strings")
        return items

    def list_of(self, name: str) -> list[Any]:
        """A list of anything."""
        return self._value(name, list, "a list")

    def _value(self, name: str, kind: type, described: str) -> Any:
        if self.values.get(name) is None:
            raise DatasetError(
                f"{self.place}: no {name!r}, expected {described}; the row has {', '.join(map(str, self.values)) or 'no fields'}"
            )
        value = self.values[name]
        if not isinstance(value, kind):
            raise DatasetError(f"{self.place}: {name!r} is {type(value).__name__} {str(value)[:40]!r}, expected {described}")
        return value


def json_document(path: Path) -> Any:
    """The one value of a JSON file."""
    return _parsed(str(path), read_text(path))


def json_row(path: Path) -> Row:
    """The one object of a JSON file."""
    return Row(str(path), _object(str(path), json_document(path)))


def json_rows(path: Path) -> Iterator[Row]:
    """The objects of a file that is a JSON list."""
    items = json_document(path)
    if not isinstance(items, list):
        raise DatasetError(f"{path} is no JSON list; expected one object per question")
    for number, item in enumerate(items, 1):
        yield Row(f"{path}, row {number}", _object(f"{path}, row {number}", item))


def jsonl_rows(path: Path) -> Iterator[Row]:
    """The objects of a JSON-lines file; blank lines are passed over."""
    return lines_of(str(path), read_text(path))


def lines_of(origin: str, text: str) -> Iterator[Row]:
    """The objects of JSON-lines text that was read elsewhere."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{origin}, row {number}"
            yield Row(place, _object(place, _parsed(place, line)))


def csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file with a header; blank cells are absent."""
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        for number, cells in enumerate(reader, 1):
            yield Row(f"{path}, row {number}", {name: cell for name, cell in cells.items() if isinstance(cell, str) and cell.strip()})
    except csv.Error as error:
        raise DatasetError(f"{path}, line {reader.line_num}: not CSV: {error}") from error


def parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(64):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"{path}, row {number}", values)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path} cannot be read as Parquet: {error}; fetch it again") from error


def read_text(path: Path) -> str:
    """A UTF-8 file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 at byte {error.start}; convert it") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; give the path of the data set's file") from error


def _parsed(place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DatasetError(f"{place}: not JSON: {error}") from error


def _object(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DatasetError(f"{place} is {type(value).__name__}, expected an object")
    return value
