"""Rows of containers as plain dictionaries that JSON and Arrow can hold.

A reader (`jsonl.py`, `parquet.py`, `formats/`) is a generator of (label, row). It yields what it cannot read as a `Rejected` in its place:
a bad row, or rows that a damaged part held, which the rejection counts. Only what concerns the container as a whole is raised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lloco_core.corpus.decoding import without_surrogates
from lloco_core.corpus.reasons import Rejected

Row = dict[str, Any]
Label = str | int | None
"""Number of a row, its sheet or key and number, or None of a row that is the whole file."""
Rows = Iterator[tuple[Label, Row | Rejected]]


def plain_row(row: Row) -> Row:
    """The row with nothing but what JSON has; anything else becomes its text, NaN and infinity become null."""
    text = without_surrogates(json.dumps(row, ensure_ascii=False, default=str))
    return json.loads(text, parse_constant=lambda _: None)
