"""From compressed shards to rows: exactly once, whatever is repeated."""

from functools import partial

import numpy as np
import pytest

from lloco_core.store.commit import Committer, begin_plan, recorded_fragments, recover_plans
from lloco_core.store.records import load_records, open_plans
from tests.unit.store.fixtures import (
    DIMENSION,
    HIDDEN,
    PLACES,
    SUMMARY,
    compressed,
    document,
    ingest,
    lease,
    place,
    rows,
    shard,
    vectors_of,
    write,
)


@pytest.fixture(params=PLACES)
def store_uri(request, tmp_path, monkeypatch):
    yield from place(request, tmp_path, monkeypatch)


LONG = "one two three four five six seven eight nine"


def test_rows_are_what_was_written(store):
    found = document("a.txt", LONG)
    assert ingest(store, shard("p1", 0, [found])) == 1

    [row] = rows(store, "documents")
    assert (row["doc_id"], row["uri"], row["source_uri"], row["group_id"]) == (found.doc_id, found.uri, found.uri, "a")
    assert (row["n_tokens"], row["n_segments"], row["n_chars"]) == (9, 3, len(LONG))
    assert (row["status"], row["shard_id"], row["run_id"]) == ("active", "p1-000000", "run-1")

    segments = store.dataset("segments").to_table().sort_by("segment_index")
    assert segments["summary"].type.list_size == SUMMARY * HIDDEN
    stored = segments["summary"].combine_chunks().flatten().to_numpy()
    assert stored.dtype == np.float16
    assert stored.tobytes() == vectors_of(LONG, 3).tobytes()
    assert segments["token_start"].to_pylist() == [0, 4, 8]
    assert segments["token_end"].to_pylist() == [4, 8, 9]
    assert set(segments["version_id"].to_pylist()) == {row["version_id"]}

    passages = store.dataset("passages").to_table().sort_by("passage_index")
    assert "".join(passages["text"].to_pylist()) == LONG
    assert passages["segment_index"].to_pylist() == [0, 1, 2]
    vectors = passages["vector"].combine_chunks().flatten().to_numpy().reshape(-1, DIMENSION)
    assert vectors.tobytes() == compressed(found).passage_vectors.tobytes()

    [entry] = rows(store, "ledger")
    assert (entry["entry"], entry["n_documents"], entry["n_segments"], entry["n_passages"], entry["n_tokens"]) == ("shard", 1, 3, 3, 9)


def test_nothing_is_visible_before_the_commit(store):
    record = write(store, shard("p1", 0, [document("a.txt", LONG)]))
    assert {name: len(fragments) for name, fragments in record.fragments.items()} == {"segments": 1, "passages": 1, "documents": 1}
    for table in ("segments", "passages", "documents", "ledger"):
        assert store.dataset(table).count_rows() == 0


def test_committing_twice_is_a_no_op(store):
    records = [write(store, shard("p1", number, [document(f"{number}.txt", f"text {number}")])) for number in range(3)]
    with lease(store) as held:
        marker = begin_plan(store, "p1", "run-1", 3)
        committer = Committer(store, held, marker)
        assert committer.commit(records) == 3
        versions = {name: store.dataset(name).version for name in ("documents", "segments", "passages", "ledger")}
        assert committer.commit(records) == 0
        assert Committer(store, held, begin_plan(store, "p1", "run-1", 3)).commit(records) == 0
    assert {name: store.dataset(name).version for name in versions} == versions
    assert sorted(row["title"] for row in rows(store, "documents")) == ["0.txt", "1.txt", "2.txt"]


def test_a_closed_plan_that_is_run_again_commits_nothing(store):
    """A retried task runs a whole plan again although its marker is gone; the ledger knows the shards all the same."""
    item = shard("p1", 0, [document("a.txt", LONG)])
    assert ingest(store, item) == 1
    assert open_plans(store.objects) == []
    assert ingest(store, item) == 0
    assert [store.dataset(name).count_rows() for name in ("documents", "segments", "passages", "ledger")] == [1, 3, 3, 1]


def test_a_marker_keeps_its_base_versions(store):
    first = begin_plan(store, "p1", "run-1", 1)
    with lease(store) as held:
        Committer(store, held, first).commit([write(store, shard("p1", 0, [document("a.txt", "x")]))])
    assert begin_plan(store, "p1", "run-2", 1) == first
    assert [marker.plan_id for marker in open_plans(store.objects)] == ["p1"]


def test_the_second_attempt_at_a_shard_loses(store):
    first = write(store, shard("p1", 0, [document("a.txt", LONG)]), "run-1")
    second = write(store, shard("p1", 0, [document("a.txt", LONG)]), "run-2")
    assert second == first
    assert second.run_id == "run-1"
    assert len(load_records(store.objects, "p1")) == 1
    ingest(store, shard("p1", 0, [document("a.txt", LONG)]), run_id="run-3")
    assert store.dataset("segments").count_rows() == 3  # the files of three attempts lie there, those of one count
    assert store.dataset("documents").count_rows() == 1


@pytest.mark.parametrize("n_tables", [0, 1, 2, 3])
def test_recovery_appends_only_what_is_missing(store, n_tables):
    """As if killed after `n_tables` of the three appends."""
    records = [write(store, shard("p1", number, [document(f"{number}.txt", LONG)])) for number in range(2)]
    with lease(store) as held:
        committer = Committer(store, held, begin_plan(store, "p1", "run-1", 2))
        for table in ("segments", "passages", "documents")[:n_tables]:
            committer._append(table, records, partial(recorded_fragments, table))
    with lease(store, "run-2") as held:
        assert recover_plans(store, held) == 2
        assert recover_plans(store, held) == 0
    assert [store.dataset(name).count_rows() for name in ("segments", "passages", "documents", "ledger")] == [6, 6, 2, 2]
    assert {row["run_id"] for row in rows(store, "ledger")} == {"run-1"}  # the run that encoded them
    assert open_plans(store.objects) == []


def test_changed_text_replaces_the_document(store):
    old, other = document("a.txt", LONG), document("b.txt", "stays as it is")
    ingest(store, shard("p1", 0, [old, other]))
    new = document("a.txt", "short now", etag="e2")
    ingest(store, shard("p2", 0, [new], known=[old]), run_id="run-2")

    versions = {row["etag"]: row for row in rows(store, "documents", f"doc_id = '{old.doc_id}'")}
    assert {etag: row["status"] for etag, row in versions.items()} == {"e1": "superseded", "e2": "active"}
    for table in ("segments", "passages"):
        left = rows(store, table, f"doc_id = '{old.doc_id}'")
        assert [row["version_id"] for row in left] == [versions["e2"]["version_id"]]
    assert [row["text"] for row in rows(store, "passages", f"doc_id = '{other.doc_id}'")] == ["stays as it is"]
    assert rows(store, "documents", f"doc_id = '{other.doc_id}'")[0]["status"] == "active"


def test_text_that_returns_is_whole_again(store):
    first, second = document("a.txt", LONG), document("a.txt", "else", etag="e2")
    back = document("a.txt", LONG, etag="e3")
    ingest(store, shard("p1", 0, [first]))
    ingest(store, shard("p2", 0, [second], known=[first]))
    ingest(store, shard("p3", 0, [back], known=[second]))
    assert [row["etag"] for row in rows(store, "documents", "status = 'active'")] == ["e3"]
    assert sorted(row["segment_index"] for row in rows(store, "segments")) == [0, 1, 2]


def test_unchanged_text_with_a_new_etag_gets_no_new_segments(store):
    old = document("a.txt", LONG)
    ingest(store, shard("p1", 0, [old]))
    before = {name: store.dataset(name).to_table().to_pylist() for name in ("segments", "passages")}
    ingest(store, shard("p2", 0, unchanged=[document("a.txt", LONG, etag="e2")], known=[old]), run_id="run-2")
    for name, expected in before.items():
        assert store.dataset(name).to_table().to_pylist() == expected
    active, superseded = sorted(rows(store, "documents"), key=lambda row: row["status"])
    assert (active["status"], active["etag"], active["n_segments"], active["n_tokens"]) == ("active", "e2", 3, 9)
    assert (superseded["status"], superseded["etag"]) == ("superseded", "e1")
    assert active["version_id"] == superseded["version_id"]  # joins the segments that stayed


def test_another_encoder_replaces_every_vector(store):
    old = document("a.txt", LONG)
    ingest(store, shard("p1", 0, [old]))
    ingest(store, shard("p2", 0, [old], known=[old]), encoder="encoder-2")
    [active] = rows(store, "documents", "status = 'active'")
    assert active["encoder_fingerprint"] == "encoder-2"
    assert {row["version_id"] for row in rows(store, "segments")} == {active["version_id"]}
    assert store.dataset("segments").count_rows() == 3


def test_ids_with_quotes_are_replaced_and_only_they(store):
    old = document("a.txt", LONG, doc_id="it's")
    other = document("b.txt", "other", doc_id="its")
    ingest(store, shard("p1", 0, [old, other]))
    ingest(store, shard("p2", 0, [document("a.txt", "new text", etag="e2", doc_id="it's")], known=[old]))
    texts = {row["doc_id"]: row["text"] for row in rows(store, "passages")}
    assert texts == {"it's": "new text", "its": "other"}
    assert sorted((row["doc_id"], row["etag"]) for row in rows(store, "documents", "status = 'active'")) == [("it's", "e2"), ("its", "e1")]


def test_a_shard_without_documents_is_done_too(store):
    assert ingest(store, shard("p1", 0, [])) == 1
    assert [row["n_documents"] for row in rows(store, "ledger")] == [0]
    assert store.dataset("documents").version == 1
