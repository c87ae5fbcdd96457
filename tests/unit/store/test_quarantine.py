"""Rejected documents: first seen, attempts, and what happens when they can be read again."""

import pytest

from lloco_core.store.commit import Committer, begin_plan
from lloco_core.store.quarantine import record_rejections
from lloco_core.types import Rejection
from tests.unit.store.fixtures import document, ingest, lease, rows, shard, write

BAD = "file:///corpus/bad.txt"


@pytest.fixture
def store_uri(tmp_path):
    """A folder only: nothing here depends on where the tables lie."""
    return str(tmp_path / "store")


def rejection(uri: str = BAD, etag: str = "e1", code: str = "empty") -> Rejection:
    return Rejection(uri, etag, "parse", code, f"why {code}")


def test_rejected_documents_are_kept_with_their_reason(store):
    ingest(store, shard("p1", 0, [document("good.txt", "text")], rejections=[rejection()]))
    [row] = rows(store, "quarantine")
    assert (row["uri"], row["source_uri"], row["etag"]) == (BAD, BAD, "e1")
    assert (row["stage"], row["code"], row["message"]) == ("parse", "empty", "why empty")
    assert (row["attempts"], row["run_id"]) == (1, "run-1")
    assert row["first_seen"] == row["last_seen"]
    assert rows(store, "ledger")[0]["n_quarantined"] == 1


def test_attempts_are_counted_once_per_run_and_first_seen_is_kept(store):
    ingest(store, shard("p1", 0, rejections=[rejection()]))
    [first] = rows(store, "quarantine")
    ingest(store, shard("p2", 0, rejections=[rejection(etag="e2", code="pdf_damaged")]), run_id="run-2")
    [second] = rows(store, "quarantine")
    assert (second["attempts"], second["etag"], second["code"], second["run_id"]) == (2, "e2", "pdf_damaged", "run-2")
    assert second["first_seen"] == first["first_seen"]
    assert second["last_seen"] > first["last_seen"]


def test_repeating_a_commit_counts_no_attempt(store):
    """The crash window between quarantine and ledger: step 3 is done again."""
    ingest(store, shard("p1", 0, rejections=[rejection()]))
    record = write(store, shard("p2", 0, rejections=[rejection(etag="e2")]), "run-2")
    with lease(store) as held:
        record_rejections(store, held, [record])
    with lease(store, "run-3") as held:
        assert Committer(store, held, begin_plan(store, "p2", "run-2", 1)).commit([record]) == 1
    assert [row["attempts"] for row in rows(store, "quarantine")] == [2]


def test_documents_that_can_be_read_again_leave_the_quarantine(store):
    others = [rejection("file:///corpus/it's.txt"), rejection("file:///corpus/other.txt")]
    ingest(store, shard("p1", 0, rejections=[rejection()]), shard("p1", 1, rejections=others))
    fixed = document("bad.txt", "now readable", etag="e2")
    ingest(store, shard("p2", 0, [fixed]), run_id="run-2")
    assert sorted(row["uri"] for row in rows(store, "quarantine")) == ["file:///corpus/it's.txt", "file:///corpus/other.txt"]
    ingest(store, shard("p3", 0, [document("it's.txt", "readable too", etag="e2")]), run_id="run-3")
    assert [row["uri"] for row in rows(store, "quarantine")] == ["file:///corpus/other.txt"]


def test_rows_of_a_container_are_quarantined_and_resolved_one_by_one(store):
    container = document("rows.jsonl", "the container").uri
    bad = [Rejection(f"{container}#row-{number}", "e1", "parse", "row_malformed", "no JSON") for number in (1, 2)]
    item = shard("p1", 0, [document("rows.jsonl", "x")], rejections=bad)
    ingest(store, item)
    assert {row["source_uri"] for row in rows(store, "quarantine")} == {container}
    ingest(store, shard("p2", 0, [document("rows.jsonl", "x", etag="e2")], rejections=bad[1:]), run_id="run-2")
    assert [(row["uri"], row["attempts"]) for row in rows(store, "quarantine")] == [(f"{container}#row-2", 2)]


def test_one_document_rejected_twice_in_a_batch_is_one_row(store):
    ingest(store, shard("p1", 0, rejections=[rejection(), rejection(code="too_long")]))
    assert [(row["uri"], row["code"]) for row in rows(store, "quarantine")] == [(BAD, "too_long")]
