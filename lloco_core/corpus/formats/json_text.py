"""JSON files: containers of documents, one document with a text field, or any other data as readable lines.

An array of objects with the text field, or an object that holds such arrays (`{"data": [...]}`), is a container; what else has words in
such an object is a document per key. An object with the field is one document. Of other data every value is a line behind its key. A
`.json` file of JSON lines is read as such.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import decode_text, normalise_text
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.jsonl import checked_row, jsonl_rows
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.corpus.rows import Row, Rows

_MAX_DEPTH = 100
_INDENT = "  "
_NAMES = ("title", "name")


def read_json(data: bytes, config: CorpusConfig) -> ReadText | Rows:
    """The rows of a container, with the number, or the key and number, of each; the one row of an object with the text field, without a
    label; any other data as one document."""
    try:
        value = load_json(data)
    except Rejected:
        if not _is_lines(data):
            raise
        return jsonl_rows(data)
    field = config.text_field
    if _has_text(value, field):
        return iter([(None, checked_row(value, "the object"))])
    if _is_container(value, field):
        return _items(value, "")
    if isinstance(value, dict) and any(_is_container(items, field) for items in value.values()):
        return _held(value, field)
    return _as_lines(value)


def _held(value: Row, field: str) -> Rows:
    """The rows of all containers of an object, and what else of it has words as one document per key."""
    for key, inner in value.items():
        label = quote(key, safe="")
        if _is_container(inner, field):
            yield from _items(inner, f"{label}-")
        elif _has_words(inner):
            yield label, {field: _as_lines({key: inner}).text}


def _has_words(value: Any) -> bool:
    """Whether there is prose in it, not only counts, links, and marks."""
    if isinstance(value, dict | list):
        return any(map(_has_words, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and len(value.split()) > 1


def _as_lines(value: Any) -> ReadText:
    lines: list[str] = []
    _collect(value, "", 0, lines)
    title = next((value[name] for name in _NAMES if isinstance(value.get(name), str)), None) if isinstance(value, dict) else None
    return ReadText(normalise_text("\n".join(lines)), title)


def load_json(data: bytes) -> Any:
    """The value of a JSON file in any encoding.

    Raises:
        Rejected: `file_damaged`, or that of the encoding.
    """
    try:
        return json.loads(decode_text(data).removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise Rejected(Reason.FILE_DAMAGED, f"not readable as JSON ({type(error).__name__}: {error}); correct or exclude it") from error


def _has_text(value: Any, field: str) -> bool:
    return isinstance(value, dict) and isinstance(value.get(field), str)


def _is_container(value: Any, field: str) -> bool:
    return isinstance(value, list) and any(_has_text(item, field) for item in value)


def _items(items: list[Any], prefix: str) -> Rows:
    for number, item in enumerate(items):
        yield f"{prefix}{number}", checked_row(item, f"item {number}")


def _is_lines(data: bytes) -> bool:
    """Whether the first two lines that are not blank are objects of their own."""
    lines = [line for line in data.split(b"\n", 100) if line.strip()][:2]
    return len(lines) == 2 and all(isinstance(row, dict) for _, row in jsonl_rows(b"\n".join(lines)))


def _collect(value: Any, key: str, depth: int, lines: list[str]) -> None:
    if depth > _MAX_DEPTH:
        raise Rejected(Reason.FILE_DAMAGED, f"is nested more than {_MAX_DEPTH} deep; flatten or exclude it")
    start = _INDENT * max(depth - 1, 0) + (f"{key}: " if key else "")
    if isinstance(value, dict | list):
        if key and value:
            lines.append(start.rstrip())
        for name, inner in value.items() if isinstance(value, dict) else (("", inner) for inner in value):
            _collect(inner, name, depth + 1, lines)
    elif value is not None and value != "":
        lines.append(start + (value if isinstance(value, str) else json.dumps(value)))
