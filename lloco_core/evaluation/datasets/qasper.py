"""Qasper (Dasigi et al. 2021): questions about scientific papers. UNTESTED on the published files: written from their description.

Two layouts are read: Parquet of the hub (`qas` and `full_text` as columns of lists) and the released JSON (an object per paper).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example, distinct
from lloco_core.evaluation.datasets.hub import locate_files
from lloco_core.evaluation.datasets.rows import Row, json_row, parquet_rows

HUB_NAME, HUB_REVISION = "allenai/qasper", "refs/convert/parquet"
UNANSWERABLE = "Unanswerable"


def load(name_or_path: str | Path = HUB_NAME, split: str = "test") -> list[Example]:
    """Questions of a split (`train`, `validation`, `test`) from the hub or a folder, or of one .json or .parquet file.

    References are as the official evaluation makes them: spans joined by ", ", free text, Yes, No, or Unanswerable.

    Raises:
        DatasetError: nothing found, or a file of another layout.
    """
    patterns = [f"**/{split}/*.parquet", f"**/{split}-*.parquet"]
    files = locate_files(name_or_path, patterns, HUB_REVISION if name_or_path == HUB_NAME else None)
    return distinct((example for file in files for name, paper in _papers(file) for example in _paper(name, paper)), name_or_path)


def _papers(file: Path) -> Iterator[tuple[str, Row]]:
    if file.suffix == ".parquet":
        for row in parquet_rows(file):
            yield row.text("id"), row
    else:
        papers = json_row(file)
        for name in papers.values:
            yield name, papers.row(name)


def _paper(name: str, paper: Row) -> Iterator[Example]:
    sections = [paper.text("title"), *(paper.text(field) for field in ("abstract",) if field in paper)]
    for section in _transposed(paper, "full_text"):
        title = [section.text("section_name")] if "section_name" in section else []
        sections.append("\n".join([*title, *(part for part in section.texts("paragraphs") if part.strip())]))
    document = "\n\n".join(sections)
    for row in _transposed(paper, "qas"):
        references = tuple(dict.fromkeys(_reference(answer.row("answer")) for answer in _transposed(row, "answers")))
        if not references:
            raise DatasetError(f"{row.place}: 'answers' is empty")
        yield Example(name, document, row.text("question_id"), row.text("question").strip(), references, name, "f1")


def _transposed(row: Row, field: str) -> list[Row]:
    """A list of objects, also where it is stored as an object of equally long lists."""
    value: Any = row.values.get(field)
    if not isinstance(value, dict):
        return row.rows(field)
    columns = {name: items for name, items in value.items() if isinstance(items, list)}
    if len({len(items) for items in columns.values()}) > 1:
        raise DatasetError(f"{row.place}: the lists in {field!r} have different lengths")
    names = list(columns)
    parts = enumerate(zip(*columns.values(), strict=True))
    return [Row(f"{row.place}, {field}[{order}]", dict(zip(names, part, strict=True))) for order, part in parts]


def _reference(answer: Row) -> str:
    if answer.values.get("unanswerable"):
        return UNANSWERABLE
    if answer.values.get("extractive_spans"):
        return ", ".join(answer.texts("extractive_spans"))
    if answer.values.get("free_form_answer"):
        return answer.text("free_form_answer")
    if isinstance(answer.values.get("yes_no"), bool):
        return "Yes" if answer.values["yes_no"] else "No"
    raise DatasetError(f"{answer.place}: neither unanswerable, extractive_spans, free_form_answer, nor yes_no holds an answer")
