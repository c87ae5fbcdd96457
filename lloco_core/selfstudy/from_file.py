"""Questions people wrote: jsonl (also .gz) or parquet with `doc_id` or `uri`, `question`, and `answer`.

Every row becomes an example or is counted under the reason it was refused; none disappears. Called when
`questions.file` is set.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lloco_core.errors import StorageError
from lloco_core.objects import open_at
from lloco_core.types import Example

NOT_JSON = object()
"""Stands for a line that could not be parsed."""


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """What a file gave."""

    examples: list[Example]
    refused: dict[str, int]
    """Reason -> rows: `not_json`, `not_an_object`, `no_document`, `unknown_document`, `no_question`, `no_answer`."""


def read_question_file(uri: str, resolve: Callable[[str], str | None]) -> QuestionFile:
    """Read a question file.

    Args:
        resolve: turns the row's `doc_id`, or else its `uri`, into the id of a stored document; None when there is none.
    """
    objects, key = open_at(uri)
    data = objects.get(key)
    rows = _parquet_rows(uri, data) if key.endswith(".parquet") else _jsonl_rows(uri, data)
    examples: list[Example] = []
    refused: Counter[str] = Counter()
    for row in rows:
        read = _example(row, resolve)
        if isinstance(read, Example):
            examples.append(read)
        else:
            refused[read] += 1
    return QuestionFile(examples, dict(sorted(refused.items())))


def _example(row: Any, resolve: Callable[[str], str | None]) -> Example | str:
    """The example of a row, or the reason why it gives none."""
    if row is NOT_JSON:
        return "not_json"
    if not isinstance(row, dict):
        return "not_an_object"
    name = _text(row.get("doc_id")) or _text(row.get("uri"))
    if not name:
        return "no_document"
    doc_id = resolve(name)
    if doc_id is None:
        return "unknown_document"
    question = _text(row.get("question"))
    if not question:
        return "no_question"
    answer = row.get("answer")
    if isinstance(answer, list):  # several references: the first one is learned
        answer = answer[0] if answer else None
    answer = _text(answer)
    if not answer:
        return "no_answer"
    return Example(doc_id, question, answer)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()


def _jsonl_rows(uri: str, data: bytes) -> Iterator[Any]:
    try:
        text = (gzip.decompress(data) if uri.endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise StorageError(f"{uri} is not a UTF-8 jsonl file ({error}); write one JSON object per line, or parquet") from error
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except ValueError:
            yield NOT_JSON


def _parquet_rows(uri: str, data: bytes) -> Iterator[Any]:
    try:
        table = pq.read_table(io.BytesIO(data))
    except pa.ArrowInvalid as error:
        raise StorageError(f"{uri} is not a parquet file ({error})") from error
    for batch in table.to_batches(max_chunksize=4096):
        yield from batch.to_pylist()
