"""Spreadsheets to tables: every sheet by its name, cells as they are shown, formulas by the values they were saved with.

Hidden sheets, rows, and columns are read, as a filter hides rows that belong to the table; sheets that only a program can show
(`veryHidden`) are not. A sheet with a column of the text field holds one document per row, other sheets of the same file are one
document each; without such a sheet the file is one document. openpyxl reads .xlsx; calamine reads the other formats, and what
openpyxl refuses although Excel opens it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import quote

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.number_format import shown
from lloco_core.corpus.formats.package import ZIP, Package, damaged, refuse_locked
from lloco_core.corpus.formats.properties import package_title
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.formats.sheet_notes import sheet_notes
from lloco_core.corpus.formats.tables import Table, filled_rows, table_lines, table_rows
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.corpus.rows import Rows

Notes = dict[str, tuple[str, ...]]

_LAST_ROW = 2**20
"""Of a sheet; a row that claims a higher number would be waited for."""


def read_spreadsheet(data: bytes, config: CorpusConfig) -> ReadText | Rows:
    """The rows of all sheets, `<sheet>-<number>` each, where a sheet has a column of the text field; any other file as one document, in
    which every sheet begins with its name."""
    tables = _tables(data, config.max_bytes)
    if any(table.has_column(config.text_field) for table in tables):
        return _rows(tables, config.text_field)
    text = "\n\n".join("\n".join([table.name, *table_lines(table)]) for table in tables)
    title = package_title(Package(data, config.max_bytes)) if data.startswith(ZIP) else None
    return ReadText(normalise_text(text), title)


def _rows(tables: list[Table], field: str) -> Rows:
    for table in tables:
        name = quote(table.name, safe="")
        if not table.has_column(field):
            yield name, {field: normalise_text("\n".join(table_lines(table))), "sheet": table.name}
            continue
        for number, row in table_rows(table, field):
            yield f"{name}-{number}", row if isinstance(row, Rejected) else {"sheet": table.name, **row}


def _tables(data: bytes, max_bytes: int) -> list[Table]:
    """The sheets that have text."""
    refuse_locked(data)
    if not _is_xlsx(data, max_bytes):
        tables = _from_calamine(data, max_bytes, {})
    else:
        notes = sheet_notes(Package(data, max_bytes))
        try:
            tables = _from_openpyxl(data, max_bytes, notes)
        except Rejected:
            raise
        except Exception as refused:  # noqa: BLE001 - openpyxl raises TypeError, KeyError, ValueError, ... at styles that Excel reads
            tables = _from_calamine(data, max_bytes, notes, refused)
    return [table for table in tables if table.rows or table.beside]


def _is_xlsx(data: bytes, max_bytes: int) -> bool:
    if not data.startswith(ZIP):
        return False
    package = Package(data, max_bytes)
    _refuse_large(package, max_bytes)
    return any(name.endswith("workbook.xml") for name in package.names())


def _refuse_large(package: Package, max_bytes: int) -> None:
    if package.unpacked(".xml") > max_bytes:
        message = f"its parts unpack to {package.unpacked('.xml')} bytes, more than {max_bytes}; split it or raise corpus.max_bytes"
        raise Rejected(Reason.TOO_LARGE_UNPACKED, message)


def _from_openpyxl(data: bytes, max_bytes: int, notes: Notes) -> list[Table]:
    from openpyxl import load_workbook
    from openpyxl.cell.read_only import EMPTY_CELL

    room = _Room(max_bytes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of everything that it does not keep
        book = load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
        if not book.worksheets:
            raise ValueError("openpyxl finds no sheet")  # a strict file: it passes over what it does not know
        tables = []
        for sheet in book.worksheets:
            if sheet.sheet_state == "veryHidden":
                continue
            sheet.reset_dimensions()  # a file may claim a million columns
            rows = (_shown_cells(row, EMPTY_CELL) for row in _rows_to_the_last(sheet.iter_rows()) if row)
            tables.append(Table(sheet.title, list(filled_rows(room.taking(rows))), notes.get(sheet.title, ())))
        return tables


def _rows_to_the_last(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for number, row in enumerate(rows, start=1):
        if number > _LAST_ROW:
            raise Rejected(Reason.FILE_DAMAGED, f"has a row behind row {_LAST_ROW}; open and save it in its own program")
        yield row


def _shown_cells(row: tuple[Any, ...], no_cell: object) -> list[str]:
    """The cells of a row up to the last one with a value; a single style may stand in column 16,384 of every row."""
    found = {place: cell for place, cell in enumerate(row) if cell is not no_cell and cell.value is not None}
    width = max(found, default=-1) + 1
    return [shown(found[place].value, found[place].number_format or "General") if place in found else "" for place in range(width)]


def _from_calamine(data: bytes, max_bytes: int, notes: Notes, refused: Exception | None = None) -> list[Table]:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

    room = _Room(max_bytes)
    try:
        book = CalamineWorkbook.from_filelike(BytesIO(data))
        sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        tables = []
        for name in (sheet.name for sheet in sheets if sheet.visible != SheetVisibleEnum.VeryHidden):
            rows = ([shown(cell) for cell in row] for row in book.get_sheet_by_name(name).iter_rows())
            tables.append(Table(name, list(filled_rows(room.taking(rows))), notes.get(name, ())))
        return tables
    except PasswordError as error:
        raise Rejected(Reason.FILE_ENCRYPTED, "opening it takes a password; save it without one") from error
    except (CalamineError, ValueError, OSError) as error:
        raise damaged(refused or error) from error


class _Room:
    """What is left of the limit: few bytes of a file may stand for long strings in many cells."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._left = max_bytes

    def taking(self, rows: Iterator[list[str]]) -> Iterator[list[str]]:
        for row in rows:
            self._left -= sum(map(len, row))
            if self._left < 0:
                message = f"its cells hold more than {self._max_bytes} characters; split it or raise corpus.max_bytes"
                raise Rejected(Reason.TOO_LARGE_UNPACKED, message)
            yield row
