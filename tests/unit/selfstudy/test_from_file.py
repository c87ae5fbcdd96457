from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lloco_core.errors import StorageError
from lloco_core.finetune.rows import Example
from lloco_core.selfstudy.from_file import read_question_file

STORED = {"d1": "d1", "file:///corpus/two.txt": "d2"}


def test_rows_become_examples_or_are_counted(tmp_path: Path) -> None:
    lines = [
        json.dumps({"doc_id": "d1", "question": " Who? ", "answer": "Ada"}),
        json.dumps({"uri": "file:///corpus/two.txt", "question": "When?", "answer": ["1815", "in 1815"]}),
        json.dumps({"doc_id": "", "uri": "file:///corpus/two.txt", "question": "How many?", "answer": 3}),
        "",
        "{broken",
        "[1, 2]",
        json.dumps({"question": "q", "answer": "a"}),
        json.dumps({"doc_id": "d9", "question": "q", "answer": "a"}),
        json.dumps({"doc_id": "d9", "question": "q", "answer": "a"}),
        json.dumps({"doc_id": "d1", "question": "  ", "answer": "a"}),
        json.dumps({"doc_id": "d1", "question": "q", "answer": []}),
        json.dumps({"doc_id": "d1", "question": "q", "answer": None}),
        json.dumps({"doc_id": "d1", "question": "q", "answer": {"text": "a"}}),
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(lines), encoding="utf-8")
    read = read_question_file(str(tmp_path / "q.jsonl"), STORED.get)
    assert read.examples == [Example("d1", "Who?", "Ada"), Example("d2", "When?", "1815"), Example("d2", "How many?", "3")]
    assert read.refused == {"not_json": 1, "not_an_object": 1, "no_document": 1, "unknown_document": 2, "no_question": 1, "no_answer": 3}
    assert len(read.examples) + sum(read.refused.values()) == len([line for line in lines if line])


def test_line_separators_inside_strings_do_not_split_rows(tmp_path: Path) -> None:
    row = {"doc_id": "d1", "question": "a\u2028b\x85c", "answer": "x"}
    (tmp_path / "q.jsonl").write_text("\ufeff" + json.dumps(row, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert read_question_file(str(tmp_path / "q.jsonl"), STORED.get).examples == [Example("d1", "a\u2028b\x85c", "x")]


def test_gzip_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress(b'{"doc_id": "d1", "question": "q", "answer": "a"}'))
    pq.write_table(
        pa.table({"uri": ["file:///corpus/two.txt", None], "question": ["q", "q"], "answer": [["a", "b"], ["a"]]}), tmp_path / "q.parquet"
    )
    assert read_question_file(str(tmp_path / "q.jsonl.gz"), STORED.get).examples == [Example("d1", "q", "a")]
    read = read_question_file(str(tmp_path / "q.parquet"), STORED.get)
    assert (read.examples, read.refused) == ([Example("d2", "q", "a")], {"no_document": 1})


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz", "q.parquet"])
def test_unreadable_files_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 not a file")
    with pytest.raises(StorageError, match=name):
        read_question_file(str(tmp_path / name), STORED.get)
