"""Tables to text, or to one row per document where a column has the name of the text field. Spreadsheets and CSV files become these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.corpus.rows import Rows


@dataclass(frozen=True, slots=True)
class Table:
    """A sheet of cells; the first row may be a header."""

    name: str
    rows: list[list[str]]
    """Without rows that have no text, and without empty cells at their ends."""
    beside: tuple[str, ...] = ()
    """Lines that lie over or beside the cells: text boxes, charts, comments."""

    def has_column(self, field: str) -> bool:
        """Whether the first row names a column `field`."""
        return bool(self.rows) and field in map(_line, self.rows[0])


def filled_rows(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows that have text, without empty cells at their ends."""
    for row in rows:
        while row and not row[-1].strip():
            row.pop()
        if row:
            yield row


def table_lines(table: Table) -> Iterator[str]:
    """One line per row, cells separated by tabs, then what lies beside them."""
    for row in table.rows:
        yield "\t".join(map(_line, row))
    yield from table.beside


def table_rows(table: Table, field: str) -> Rows:
    """Yield (row number from 0 below the header, row) of a table that has the column `field`."""
    names = _column_names(table.rows[0])
    for number, cells in enumerate(table.rows[1:]):
        if len(cells) > len(names):
            message = f"row {number + 1} below the header has {len(cells)} cells for {len(names)} columns"
            yield number, Rejected(Reason.ROW_MALFORMED, f"{message} (a delimiter that is not quoted?); quote or correct it")
            continue
        row = {name: normalise_text(cell) for name, cell in zip(names, cells, strict=False) if cell.strip()}
        yield number, row


def _column_names(header: list[str]) -> list[str]:
    names: list[str] = []
    for number, cell in enumerate(header, start=1):
        name = _line(cell) or f"column_{number}"
        names.append(f"{name}_{number}" if name in names else name)
    return names


def _line(cell: str) -> str:
    return " ".join(normalise_text(cell).split())
