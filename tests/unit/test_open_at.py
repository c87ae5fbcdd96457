"""One object by its URI: the folder or prefix that holds it, and its key there."""

import json
import os
from pathlib import Path

import pytest

from lloco_core.adapters import questions_identity
from lloco_core.answer.closing import read_closing_questions
from lloco_core.config import CorpusConfig, QuestionsConfig
from lloco_core.corpus.inventory import inventory_batches
from lloco_core.corpus.sources import list_corpus
from lloco_core.encoder_training.text.files import find_files
from lloco_core.encoder_training.text.stream import read_ids
from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.finetune.rows import Example, read_examples, write_examples
from lloco_core.objects import open_at
from lloco_core.selfstudy.from_file import read_question_file
from tests.conftest import BUCKET


def place(uri):
    objects, key = open_at(uri)
    return objects.root, key


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/questions.jsonl", ("/", "questions.jsonl")),
        ("file:///questions.jsonl", ("/", "questions.jsonl")),
        ("/data/q.jsonl", ("/data", "q.jsonl")),
        ("//data//q.jsonl", ("//data", "q.jsonl")),
        ("/data/../q.jsonl", ("/", "q.jsonl")),
        ("file:///da%20ta/q%231%3F.jsonl", ("/da ta", "q#1?.jsonl")),
        ("file:///data/q#1?x.jsonl", ("/data", "q#1?x.jsonl")),
        ("/data/q%20#1?.jsonl", ("/data", "q%20#1?.jsonl")),
        ("FILE:///data/q.jsonl", ("/data", "q.jsonl")),
    ],
)
def test_local_files(uri, expected):
    assert place(uri) == expected


def test_relative_files_and_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert place("q.jsonl") == place("./q.jsonl") == (str(tmp_path), "q.jsonl")
    assert place("a/q.jsonl") == (str(tmp_path / "a"), "q.jsonl")
    assert place("../q.jsonl") == (str(tmp_path.parent), "q.jsonl")
    assert place("~/q.jsonl") == ("/home/somebody", "q.jsonl")


def test_objects_on_s3(s3):
    assert place(f"s3://{BUCKET}/q.jsonl") == (f"s3://{BUCKET}", "q.jsonl")
    assert place(f"s3://{BUCKET}/a/b/q #1?%20.jsonl") == (f"s3://{BUCKET}/a/b", "q #1?%20.jsonl")


@pytest.mark.parametrize(
    "uri", ["", "/", ".", "..", "/data/", "file:///", "file://q.jsonl", "s3://bucket", "s3://bucket/", "s3://bucket/a/", "s3://", "/a/.."]
)
def test_what_names_no_object_is_refused(uri):
    with pytest.raises(ConfigurationError, match="names no object; give"):
        open_at(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/q.jsonl", "https://example.org/q.jsonl"])
def test_other_stores_are_refused(uri):
    with pytest.raises(ConfigurationError, match="is not supported"):
        open_at(uri)


def test_credentials_are_refused():
    with pytest.raises(ConfigurationError, match="must not carry credentials"):
        open_at("s3://key:secret@bucket/q.jsonl")
    with pytest.raises(ConfigurationError, match="must not carry credentials"):
        open_at("s3://bucket/q.jsonl?X-Amz-Signature=0123")


READERS = {
    "closing questions": lambda uri: read_closing_questions(uri, None, 1),
    "question files": lambda uri: read_question_file(uri, str),
    "names of question files": lambda uri: questions_identity(QuestionsConfig(file=uri)),
    "examples": read_examples,
    "lists of ids": read_ids,
    "training text": lambda uri: find_files([uri]),
    "manifests": lambda uri: list(list_corpus(CorpusConfig(uri=uri))),
    "inventories": lambda uri: list(inventory_batches(CorpusConfig(uri="/corpus", inventory=uri))),
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_in_the_root_folder_is_not_looked_for_in_the_working_directory(tmp_path, monkeypatch, name):
    """`/there-is-none.jsonl` does not exist; a file of this name in the working directory is another one."""
    monkeypatch.chdir(tmp_path)
    suffix = {"examples": "parquet", "inventories": "csv"}.get(name, "jsonl")
    row = {"question": "q", "answer": "a", "doc_id": "d", "text": "t", "uri": "x"}
    if suffix == "parquet":
        write_examples("there-is-none.parquet", [Example("d", "q", "a")])
    else:
        Path(f"there-is-none.{suffix}").write_text(json.dumps(row) if suffix == "jsonl" else "key,size,etag\na,1,e\n")
    with pytest.raises(StorageError, match=r"/there-is-none\.") as refused:
        READERS[name](f"/there-is-none.{suffix}")
    assert str(tmp_path) not in str(refused.value)


def test_examples_are_written_where_their_uri_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [Example("d", "q", "a")]
    for uri in ("here.parquet", "below/here.parquet", (tmp_path / "a b#1.parquet").as_uri()):
        write_examples(uri, rows)
        assert read_examples(uri) == rows
    assert sorted(os.listdir()) == ["a b#1.parquet", "below", "here.parquet"]
