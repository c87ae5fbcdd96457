"""CSV and TSV: what separates the cells (comma, semicolon, tab, or bar) and how they are quoted is found out from the text.

With a column of the text field every row is a document; without it the file is one document, a row per line, the header first.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from itertools import islice
from typing import Any

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
_STRICT: tuple[dict[str, Any], ...] = ({"strict": True}, {"strict": True, "escapechar": "\\", "doublequote": False})
"""Ways to quote that a whole file keeps to: doubled quotes, or quotes behind a backslash."""


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
    """The rows by the first way of quoting that the whole text keeps to."""
    for quoting in _STRICT:
        try:
            return list(filled_rows(csv.reader(StringIO(text, newline=""), delimiter=delimiter, **quoting)))
        except csv.Error:
            continue
    return list(filled_rows(iter(_badly_quoted(text, delimiter))))


def _badly_quoted(text: str, delimiter: str) -> list[list[str]]:
    """Rows of text with quotes that open or close nothing. A quote that is left open would swallow the rows behind it."""
    quoted = [row for row in _lenient(text, delimiter) if row]
    plain = [row for row in csv.reader(StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE) if row]
    if len(quoted) == len(plain):
        return quoted
    return min(plain, quoted, key=lambda rows: sum(len(row) != len(rows[0]) for row in rows))
