"""Jupyter notebooks: Markdown, code, and the text of outputs, cell by cell. Pictures and other encoded outputs are left out.

Read as the JSON it is: nbformat would refuse cells whose text is complete but whose metadata is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.json_text import load_json
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_BETWEEN_CELLS = "\n\n"
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ENCODED = re.compile(r"\(data:[\w/+.-]+;base64,[^)]*\)")
_HEADING = re.compile(r"^# +(.+)$", re.MULTILINE)
_SHOWN = ("text/plain", "text/markdown", "text/latex")
"""Kinds of results, the first one that is there is read."""


def read_notebook(data: bytes, max_bytes: int) -> ReadText:
    """Read a notebook of format 3 or 4."""
    notebook = load_json(data)
    cells = list(_cells(notebook)) if isinstance(notebook, dict) else []
    if not cells:
        raise Rejected(Reason.FILE_DAMAGED, "has no list of cells, so it is no notebook; save it again in Jupyter")
    text = _BETWEEN_CELLS.join(part for cell in cells for part in _cell_parts(cell) if part.strip())
    headings = [_HEADING.search(_joined(cell.get("source"))) for cell in cells if cell.get("cell_type") == "markdown"]
    return ReadText(normalise_text(text), next((found[1] for found in headings if found), None))


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    sheets = notebook.get("worksheets")
    for holder in [notebook, *(sheets if isinstance(sheets, list) else [])]:
        cells = holder.get("cells") if isinstance(holder, dict) else None
        yield from (cell for cell in cells if isinstance(cell, dict)) if isinstance(cells, list) else ()


def _cell_parts(cell: dict[str, Any]) -> Iterator[str]:
    yield _ENCODED.sub("()", _joined(cell.get("source", cell.get("input"))))
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        if isinstance(output, dict):
            yield _COLOUR.sub("", _output_text(output))


def _output_text(output: dict[str, Any]) -> str:
    if "traceback" in output:
        return "\n".join(map(_joined, output["traceback"])) if isinstance(output["traceback"], list) else ""
    results = output.get("data") if isinstance(output.get("data"), dict) else {}
    return _joined(output.get("text")) or next((_joined(results[kind]) for kind in _SHOWN if kind in results), "")


def _joined(text: Any) -> str:
    if isinstance(text, list):
        return "".join(line for line in text if isinstance(line, str))
    return text if isinstance(text, str) else ""
