"""LongBench (Bai et al. 2023): its English tasks that are scored by token F1 or ROUGE. UNTESTED on the published files.

Written from their description: one JSON-lines file a task in `data.zip`, with `input`, `context`, `answers`, `_id`. The original scores
summaries by ROUGE-L alone, of another package; take `rougeL`, and do not compare decimals. Its classification, retrieval, counting, code,
and Chinese tasks have measures of their own, which are not here.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example, Measure, distinct
from lloco_core.evaluation.datasets.hub import locate_files
from lloco_core.evaluation.datasets.rows import Row, jsonl_rows, lines_of

HUB_NAME = "THUDM/LongBench"
TASKS: dict[str, Measure] = {
    "narrativeqa": "f1",
    "qasper": "f1",
    "multifieldqa_en": "f1",
    "hotpotqa": "f1",
    "2wikimqa": "f1",
    "musique": "f1",
    "triviaqa": "f1",
    "gov_report": "rouge",
    "qmsum": "rouge",
    "multi_news": "rouge",
    "samsum": "rouge",
}


def load(task: str, name_or_path: str | Path = HUB_NAME) -> list[Example]:
    """Questions of a task from the hub, from a folder with `data.zip` or `TASK.jsonl`, or from one such file.

    A task that only has a context (a report to summarise) has an empty question. Of triviaqa and samsum the original scores the first
    line of an answer only.

    Raises:
        DatasetError: a task without a measure here, nothing found, or a file of another layout.
    """
    if task not in TASKS:
        raise DatasetError(f"LongBench task {task!r} has no measure here; use one of {', '.join(TASKS)}")
    files = locate_files(name_or_path, [f"**/{task}.jsonl", "data.zip"])
    rows = _zipped(files[0], task) if files[0].suffix == ".zip" else jsonl_rows(files[0])
    return distinct((_example(row, TASKS[task]) for row in rows), files[0])


def _zipped(path: Path, task: str) -> Iterator[Row]:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if Path(name).name == f"{task}.jsonl"), None)
            if name is None:
                raise DatasetError(f"{path} holds no {task}.jsonl; it has {', '.join(archive.namelist()[:5])}")
            text = archive.read(name).decode("utf-8")
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}; fetch it again") from error
    return lines_of(f"{path}:{name}", text)


def _example(row: Row, measure: Measure) -> Example:
    context, references = row.text("context"), tuple(row.texts("answers"))
    if not references:
        raise DatasetError(f"{row.place}: 'answers' is empty")
    document_id = hashlib.sha256(context.encode()).hexdigest()[:16]
    question = str(row.values.get("input") or "").strip()
    return Example(document_id, context, row.text("_id"), question, references, document_id, measure)
