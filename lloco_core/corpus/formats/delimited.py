"""CSV and TSV: what separates the cells (comma, semicolon, tab, or bar) and how they are quoted is found out from the text.

With a column of the text field every row is a document; without it the file is one document, a row per line, the header first.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import StringIO
from itertools import islice, product

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import decode_text, normalise_text
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.formats.tables import Table, filled_rows, table_lines, table_rows
from lloco_core.corpus.rows import Rows

_DELIMITERS = ",;\t|"
_ONE_COLUMN = "\x1f"
"""A delimiter that text does not have."""
_SAMPLE_RECORDS = 200
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_RARE = 100
"""Bytes per NUL from which NULs are dirt of a database export and not UTF-16."""
_HINT = "sep="
"""First line by which Excel is told the delimiter."""
_ESCAPED, _ESCAPED_QUOTE = re.compile(r'\\(["\\])'), '\\"'
_LONGEST_RECORD = 1000
"""Lines that a cell may have in a file with quotes that open or close nothing."""


def read_delimited(data: bytes, config: CorpusConfig) -> ReadText | Rows:
    """The rows of a table that has a column of the text field; any other table as one document."""
    table = _table(data)
    if table.has_column(config.text_field):
        return table_rows(table, config.text_field)
    return ReadText(normalise_text("\n".join(table_lines(table))))


def _table(data: bytes) -> Table:
    if not data.startswith(_WIDE) and 0 < data.count(b"\0") * _RARE < len(data):
        data = data.replace(b"\0", b"")
    text = decode_text(data).removeprefix("\ufeff")
    delimiter = None
    if text[: len(_HINT)].lower() == _HINT:
        first, _, text = text.partition("\n")
        delimiter = first[len(_HINT) :].strip("\r")[:1] or "\t"
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # of the process: never lowered for others
    return Table("", _best_quoted(text, delimiter or _delimiter(text)))


def _delimiter(text: str) -> str:
    """The delimiter that cuts most of the first records into as many cells as the header; none must be there."""
    best = (0.0, 0, _ONE_COLUMN)
    for delimiter in _DELIMITERS:
        records = [record for record in islice(_lenient(text, delimiter), _SAMPLE_RECORDS) if record]
        if not records or len(records[0]) < 2:
            continue
        (length, often), *_ = Counter(map(len, records)).most_common(1)
        if length > 1:
            best = max(best, (often / len(records), length, delimiter))
    return best[2]


def _lenient(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(StringIO(text, newline=""), delimiter=delimiter)


def _best_quoted(text: str, delimiter: str) -> list[list[str]]:
    """The rows by the first way of quoting that the whole text keeps to: doubled quotes, or quotes behind a backslash."""
    ways = [text, _doubled(text)] if _ESCAPED_QUOTE in text else [text]
    for way in ways:
        with suppress(csv.Error):
            return list(filled_rows(_strict(StringIO(way, newline=""), delimiter)))
    return list(filled_rows(_badly_quoted([StringIO(way, newline="").readlines() for way in ways], delimiter)))


def _doubled(text: str) -> str:
    return _ESCAPED.sub(lambda found: '""' if found[1] == '"' else "\\", text)


def _strict(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)


def _badly_quoted(ways: list[list[str]], delimiter: str) -> Iterator[list[str]]:
    """Rows of text with quotes that open or close nothing: these stand for themselves, so that none swallows the rows behind it."""
    width = number = 0
    while number < len(ways[0]):
        row, n_lines = _record(ways, number, delimiter, width)
        width = width or len(row)
        number += n_lines
        yield row


def _record(ways: list[list[str]], number: int, delimiter: str, width: int) -> tuple[list[str], int]:
    """The row that begins at a line, and its number of lines; of more than one only if it then has as many cells as the header."""
    for n_lines, lines in product((1, _LONGEST_RECORD), ways):
        reader = _strict(lines[number : number + n_lines], delimiter)
        with suppress(csv.Error):
            row = next(reader)
            if reader.line_num == 1 or len(row) == width:
                return row, reader.line_num
    return next(csv.reader([ways[0][number]], delimiter=delimiter, quoting=csv.QUOTE_NONE)), 1
