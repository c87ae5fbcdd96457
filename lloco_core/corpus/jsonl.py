"""JSON lines as rows: a line that is not an object costs itself alone."""

from __future__ import annotations

import codecs
import json
from typing import Any

from lloco_core.corpus.decoding import decode_text
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.corpus.rows import Row, Rows, plain_row

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # that of UTF-32 LE begins as UTF-16's
_MAX_DEPTH = 100
"""Of lists and objects within a row: what is nested deeper cannot be sent from process to process."""


def jsonl_rows(data: bytes) -> Rows:
    """Yield (line number from 0, row); blank lines count but are no rows."""
    if data.startswith(_MARKS) or b"\0" in data[:4]:  # UTF-16 and UTF-32 have a zero byte beside the brace
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
    return plain_row(row)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return not levels or any(_is_deeper(item, levels - 1) for item in (value.values() if isinstance(value, dict) else value))
