"""QMSum (Zhong et al. 2021; github Yale-LILY/QMSum): summaries of meetings under a query.

Transcripts are kept as published, noise marks such as {vocalsound} included, one `speaker: words` line per turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lloco_core.evaluation.datasets.example import Example, distinct
from lloco_core.evaluation.datasets.rows import Row, json_row, jsonl_rows

QUERIES = ("general", "specific")


def load(path: Path) -> list[Example]:
    """Queries of a JSON-lines file (one meeting a line) or of a folder with one JSON file per meeting, both as published.

    A meeting is named after its file, or after the file and the line.

    Raises:
        DatasetError: the file is missing or of another layout.
    """
    return distinct((example for name, meeting in _meetings(path) for example in _queries(name, meeting)), path)


def _meetings(path: Path) -> Iterator[tuple[str, Row]]:
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            yield file.stem, json_row(file)
    else:
        for number, row in enumerate(jsonl_rows(path), 1):
            yield f"{path.stem}-{number:03d}", row


def _queries(name: str, meeting: Row) -> Iterator[Example]:
    turns = ((turn.text("speaker").strip(), turn.values.get("content")) for turn in meeting.rows("meeting_transcripts"))
    document = "\n".join(f"{speaker}: {words.strip()}" for speaker, words in turns if words and words.strip())
    for kind in QUERIES:
        for order, row in enumerate(meeting.rows(f"{kind}_query_list"), 1):
            yield Example(name, document, f"{name}/{kind}-{order}", row.text("query").strip(), (row.text("answer").strip(),), name, "rouge")
