"""Documents of one file, and the lines of it that are none.

A document's text is in the normal form of the corpus readers, so that a model is trained on what it will be given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from lloco_core.corpus.decoding import normalise_text
from lloco_core.encoder_training.text.files import TextFile, open_unpacked
from lloco_core.errors import StorageError, TrainingTextError

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.config import TextConfig

_BATCH_ROWS = 16
_REMEMBERED = 100
"""Damaged lines that are named; the others are counted."""
_EARLY = 10_000
"""Lines after which a rate of damage is believed before the end."""


class TextDocument(NamedTuple):
    """One document to train on."""

    id: str
    text: str


class Damage(NamedTuple):
    """A line, or a row of parquet, that is no document."""

    uri: str
    line: int
    """From 1."""
    reason: str


@dataclass(slots=True)
class Tally:
    """What was read so far."""

    allowed: float
    """Share of the lines that may be damaged."""
    lines: int = 0
    documents: int = 0
    dropped: int = 0
    """Documents left out because their ids are listed."""
    n_damaged: int = 0
    damaged: list[Damage] = field(default_factory=list)
    """The first of them."""

    def damage(self, uri: str, line: int, reason: str) -> None:
        """Count a damaged line; `TrainingTextError` once there are plainly too many."""
        self.n_damaged += 1
        if len(self.damaged) < _REMEMBERED:
            self.damaged.append(Damage(uri, line, reason))
        if self.n_damaged > self.allowed * max(self.lines, _EARLY) + 1:
            self.refuse()

    def check(self) -> None:
        """Call at the end: `TrainingTextError` when more lines are damaged than may be."""
        if self.n_damaged > max(1, self.allowed * self.lines) or (self.n_damaged and not self.allowed):
            self.refuse()

    def refuse(self) -> None:
        """Raise, naming the first damaged lines."""
        first = "; ".join(f"{item.uri} line {item.line}: {item.reason}" for item in self.damaged[:3])
        raise TrainingTextError(
            f"{self.n_damaged} of {self.lines} lines are damaged, more than text.damaged_rate {self.allowed:g} allows ({first}); "
            "correct the files or raise the rate"
        )


def read_file(file: TextFile, config: TextConfig, tally: Tally) -> Iterator[TextDocument]:
    """Documents in the order of the file; damaged lines go to the tally."""
    with open_unpacked(file) as stream:
        rows = _parquet_rows(file, stream, config) if file.key.endswith(".parquet") else _json_rows(stream, config)
        for line, row in rows:
            tally.lines += 1
            document = _document(row, config) if isinstance(row, dict) else row
            if isinstance(document, str):
                tally.damage(file.uri, line, document)
            else:
                yield document


def _json_rows(stream: BinaryIO, config: TextConfig) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(line from 1, the row or what is wrong with it); blank lines count but are neither."""
    limit = config.document_mb * 2**20
    number = 0
    while line := stream.readline(limit):
        number += 1
        if len(line) == limit and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(limit)
            yield number, f"longer than text.document_mb {config.document_mb}"
        elif line.strip():
            yield number, _json_row(line)


def _json_row(line: bytes) -> dict[str, Any] | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        return f"no JSON ({type(error).__name__})"
    return row if isinstance(row, dict) else f"a JSON {type(row).__name__}, not an object"


def _parquet_rows(file: TextFile, stream: BinaryIO, config: TextConfig) -> Iterator[tuple[int, dict[str, Any] | str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        table = pq.ParquetFile(pa.PythonFile(stream, mode="r"), buffer_size=2**20, pre_buffer=False)
        if missing := {config.id_field, config.text_field} - set(table.schema_arrow.names):
            raise StorageError(f"{file.uri} has no column {min(missing)!r}; set text.id_field and text.text_field")
        for batch in table.iter_batches(_BATCH_ROWS, columns=[config.id_field, config.text_field]):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except pa.ArrowException as error:
        raise StorageError(f"{file.uri} is not readable as parquet after row {number}: {error}; fetch the file again") from error


def _document(row: dict[str, Any], config: TextConfig) -> TextDocument | str:
    given, text = row.get(config.id_field), row.get(config.text_field)
    if isinstance(given, bool) or not isinstance(given, str | int) or given == "":
        return f"field {config.id_field!r} holds {str(given)[:40]!r}, no id"
    if not isinstance(text, str) or not (text := normalise_text(text)).strip():
        return f"field {config.text_field!r} holds no text"
    return TextDocument(normalise_text(str(given)), text)
