"""Publishing nights and reading them: what a reader opened stays as it was."""

import datetime

import numpy as np
import pytest

from lloco_core.errors import StorageError
from lloco_core.store.nights import latest_night, publish_night
from lloco_core.store.read import open_night
from lloco_core.store.tables import CONTENT_TABLES
from tests.unit.store.fixtures import HIDDEN, document, ingest, rows, shard, vectors_of

LONG = "one two three four five six seven eight nine"


@pytest.fixture
def corpus(store):
    """Two documents in group `a`, one in `b`."""
    documents = [document("a/1.txt", LONG), document("a/2.txt", "second text"), document("b/3.txt", "third", group="b")]
    ingest(store, shard("p1", 0, documents))
    return documents


def nights(store):
    return [row["run_id"] for row in rows(store, "ledger", "entry = 'night'")]


def test_publishing_is_idempotent(store, corpus):
    assert publish_night(store, "run-1") == "run-1"
    assert publish_night(store, "run-1") == "run-1"
    assert publish_night(store, "run-2") == "run-1"  # unchanged tables keep the old night
    assert nights(store) == ["run-1"]
    for name in CONTENT_TABLES:
        assert list(store.dataset(name).tags.list()) == ["run-1"]


def test_a_run_that_publishes_again_with_other_tables_gets_a_second_night(store, corpus):
    """A flow that is retried under its run id after it had published must not publish its old versions again."""
    publish_night(store, "run-1")
    ingest(store, shard("p2", 0, [document("b/4.txt", "fourth", group="b")]))
    assert publish_night(store, "run-1") == "run-1-2"
    assert open_night(store.root).groups() == {"a": 2, "b": 2}
    assert open_night(store.root, "run-1").groups() == {"a": 2, "b": 1}
    assert publish_night(store, "run-1") == "run-1-2"
    assert nights(store) == ["run-1", "run-1-2"]


def test_tags_left_by_a_crash_are_moved(store, corpus):
    store.dataset("segments").tags.create("run-1", 1)  # killed after the first tag; then the run went on and committed more
    publish_night(store, "run-1")
    night = open_night(store.root)
    assert night.versions["segments"] == store.dataset("segments").version
    assert store.dataset("segments").tags.list()["run-1"]["version"] == night.versions["segments"]
    assert len(night.summaries(corpus[0].doc_id)) == 6


def test_readers_of_an_old_night_see_old_rows(store, corpus):
    publish_night(store, "run-1")
    old = open_night(store.root)
    changed = document("a/1.txt", "all new", etag="e2")
    ingest(store, shard("p2", 0, [changed, document("b/4.txt", "fourth", group="b")], known=[corpus[0]]), run_id="run-2")
    assert open_night(store.root).name == "run-1"  # committed but not published
    assert publish_night(store, "run-2") == "run-2"

    for night in (old, open_night(store.root, "run-1")):
        assert night.text(corpus[0].doc_id) == LONG
        assert night.summaries(corpus[0].doc_id).tobytes() == vectors_of(LONG, 3).tobytes()
        assert night.groups() == {"a": 2, "b": 1}
        assert night.document(corpus[0].doc_id).content_hash == corpus[0].content_hash
    new = open_night(store.root)
    assert new.text(changed.doc_id) == "all new"
    assert new.groups() == {"a": 2, "b": 2}


def test_tags_protect_a_night_from_cleaning(store, corpus):
    publish_night(store, "run-1")
    ingest(store, shard("p2", 0, [document("a/1.txt", "all new", etag="e2")], known=[corpus[0]]), run_id="run-2")
    ingest(store, shard("p3", 0, [document("a/2.txt", "new too", etag="e2")], known=[corpus[1]]), run_id="run-3")
    for name in CONTENT_TABLES:
        store.dataset(name).cleanup_old_versions(older_than=datetime.timedelta(0), error_if_tagged_old_versions=False)
    versions = {version["version"] for version in store.dataset("segments").versions()}
    night = open_night(store.root, "run-1")
    assert versions == {night.versions["segments"], store.dataset("segments").version}
    assert night.text(corpus[0].doc_id) == LONG
    assert night.summaries(corpus[0].doc_id).tobytes() == vectors_of(LONG, 3).tobytes()


def test_documents_and_groups(store, corpus):
    publish_night(store, "run-1")
    night = open_night(store.root)
    assert [row.uri for row in night.documents()] == [item.uri for item in corpus]
    assert [row.title for row in night.documents("a")] == ["a/1.txt", "a/2.txt"]
    assert night.documents("no such group") == []
    row = night.document(corpus[0].doc_id)
    assert (row.doc_id, row.group_id, row.n_chars, row.n_tokens, row.n_segments) == (corpus[0].doc_id, "a", len(LONG), 9, 3)
    assert night.document("nobody") is None


def test_summaries_come_in_order_and_shape(store, corpus):
    publish_night(store, "run-1")
    found = open_night(store.root).summaries(corpus[0].doc_id)
    assert found.dtype == np.float16
    assert found.shape == (6, HIDDEN)
    assert found.tobytes() == vectors_of(LONG, 3).tobytes()


def test_ids_and_groups_with_quotes_can_be_read(store):
    odd = document("odd.txt", LONG, group="it's", doc_id='o\'brien "x" OR 1=1 --')
    ingest(store, shard("p1", 0, [odd, document("plain.txt", "other")]))
    publish_night(store, "run-1")
    night = open_night(store.root)
    assert night.text(odd.doc_id) == LONG
    assert len(night.summaries(odd.doc_id)) == 6
    assert [row.doc_id for row in night.documents("it's")] == [odd.doc_id]
    with pytest.raises(StorageError, match="no document"):
        night.text("it's")


def test_what_is_not_there_is_named(store):
    with pytest.raises(StorageError, match="no published night yet; run an ingest"):
        open_night(store.root)
    assert latest_night(store) is None
    ingest(store, shard("p1", 0, [document("a.txt", "x")]))
    publish_night(store, "run-1")
    with pytest.raises(StorageError, match=r"no night 'run-9'; `lloco status`"):
        open_night(store.root, "run-9")
    with pytest.raises(StorageError, match="run-1: no document 'x'"):
        open_night(store.root).summaries("x")
