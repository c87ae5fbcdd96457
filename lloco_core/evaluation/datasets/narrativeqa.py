"""NarrativeQA (Kočiský et al. 2018): questions about books and film scripts. UNTESTED on the published files.

Written from the description of the hub's Parquet files: columns `document` {id, text, ...}, `question` {text, ...}, and
`answers` [{text, ...}].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example, distinct
from lloco_core.evaluation.datasets.hub import locate_files
from lloco_core.evaluation.datasets.rows import Row, jsonl_rows, parquet_rows

HUB_NAME = "deepmind/narrativeqa"


def load(name_or_path: str | Path = HUB_NAME, split: str = "test") -> list[Example]:
    """Questions of a split (`train`, `validation`, `test`) from the hub or a folder, or of one .parquet or .jsonl file.

    Rows have no id: a question's is its document's with its number among that document's questions.

    Raises:
        DatasetError: nothing found, or a file of another layout.
    """
    files = locate_files(name_or_path, [f"**/{split}-*.parquet", f"**/{split}/*.parquet"])
    rows = (row for file in files for row in (parquet_rows(file) if file.suffix == ".parquet" else jsonl_rows(file)))
    return distinct(_examples(rows), name_or_path)


def _examples(rows: Iterable[Row]) -> Iterator[Example]:
    texts: dict[str, str] = {}
    asked: dict[str, int] = {}
    for row in rows:
        name = row.row("document").identity("id")
        document = texts.setdefault(name, row.row("document").text("text"))
        asked[name] = asked.get(name, 0) + 1
        references = tuple(dict.fromkeys(answer.text("text").strip() for answer in row.rows("answers")))
        if not references:
            raise DatasetError(f"{row.place}: 'answers' is empty")
        yield Example(name, document, f"{name}/{asked[name]}", row.row("question").text("text").strip(), references, name, "f1")
