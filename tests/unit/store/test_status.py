"""What `lloco status` and `lloco inspect` are told."""

import pytest

from lloco_core.config import NightlyConfig
from lloco_core.errors import StorageError
from lloco_core.store.commit import begin_plan
from lloco_core.store.nights import publish_night
from lloco_core.store.read import open_night
from lloco_core.store.runs import load_config, save_config
from lloco_core.store.status import document_details, store_status
from lloco_core.types import Rejection
from tests.unit.store.fixtures import document, ingest, shard

LONG = "one two three four five six seven eight nine"


@pytest.fixture
def store_uri(tmp_path):
    """A folder only: nothing here depends on where the tables lie."""
    return str(tmp_path / "store")


def test_status_counts_nights_groups_and_quarantine(store):
    bad = Rejection("file:///corpus/bad.txt", "e1", "parse", "empty", "nothing in it")
    ingest(store, shard("p1", 0, [document("a/1.txt", LONG), document("b/2.txt", "two", group="b")], rejections=[bad]))
    publish_night(store, "run-1")
    ingest(store, shard("p2", 0, [document("b/3.txt", "three words now", group="b")]), run_id="run-2")
    publish_night(store, "run-2")
    status = store_status(store.root)
    assert status.root == store.root
    assert [(row["night"], row["documents encoded"], row["tokens"], row["quarantined"]) for row in status.nights] == [
        ("run-1", 2, 10, 1),
        ("run-2", 1, 3, 0),
    ]
    assert status.groups == [{"group": "a", "documents": 1}, {"group": "b", "documents": 2}]
    assert status.quarantine == [
        {"uri": bad.uri, "stage": "parse", "code": "empty", "documents": 1, "message": "nothing in it", "attempts": 1}
    ]
    assert status.adapters == []
    assert status.warnings == []


def test_status_warns_of_an_unfinished_plan(store):
    begin_plan(store, "p1", "run-1", 4)
    assert store_status(store.root).warnings == ["plan p1 of run run-1 is unfinished; the next ingest finishes it"]


def test_status_of_nothing_says_what_to_do(store_uri):
    with pytest.raises(StorageError, match="holds no store; run an ingest"):
        store_status(store_uri)


def test_a_document_is_found_by_id_uri_or_end_of_uri(store):
    found = document("a/it's.txt", LONG, doc_id="it's")
    ingest(store, shard("p1", 0, [found, document("b/other.txt", "two"), document("c/other.txt", "three")]))
    publish_night(store, "run-1")
    night = open_night(store.root)
    for wanted in ("it's", found.uri, "a/it's.txt"):
        details = document_details(night, wanted)
        assert details.fields["doc_id"] == "it's"
    assert [(row["segment_index"], row["token_start"], row["token_end"]) for row in details.segments] == [(0, 0, 4), (1, 4, 8), (2, 8, 9)]
    assert [row["text"] for row in details.passages] == ["one two three four", "five six seven eight", "nine"]
    with pytest.raises(StorageError, match=r"2 documents of night run-1 match 'other\.txt'"):
        document_details(night, "other.txt")
    with pytest.raises(StorageError, match=r"0 documents .*'nobody'"):
        document_details(night, "nobody")


def test_a_run_keeps_its_configuration(store):
    config = NightlyConfig(corpus={"uri": "/corpus", "exclude": ("*.log",)}, store={"uri": store.root})
    save_config(store.objects, "run-1", config)
    assert load_config(store.objects, "run-1") == config
