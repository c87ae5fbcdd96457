"""Compaction: few fragments, the same rows, at the cost of what is new, and giving way to a committer."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from lloco_core.config import MaintenanceConfig, StoreConfig
from lloco_core.errors import CommitError, StorageError
from lloco_core.store import index, schema
from lloco_core.store.commit import Committer, begin_plan, recorded_fragments
from lloco_core.store.index import build_indices
from lloco_core.store.maintenance.compact import BATCH_BYTES, compact_table, compaction_options
from lloco_core.store.maintenance.session import open_maintenance
from lloco_core.store.tables import CONTENT_TABLES
from tests.unit.store.fixtures import document, ingest, lease, maintaining, new_store, rows, shard, write

LONG = "one two three four five six seven eight nine"


@pytest.fixture
def folder_store(tmp_path):
    """What S3 adds nothing to."""
    return new_store(str(tmp_path / "store"))


def ingest_one(store, number, text="text"):
    found = document(f"{number}.txt", text)
    ingest(store, shard(f"p{number}", 0, [found]))
    return found


def fragments(store, table):
    return [fragment.fragment_id for fragment in store.dataset(table).get_fragments()]


def content(store):
    return {name: store.dataset(name).to_table().to_pylist() for name in (*CONTENT_TABLES, "ledger")}


def test_small_fragments_become_one_and_hold_the_same_rows(store):
    for number in range(5):
        ingest_one(store, number)
    before = content(store)
    with maintaining(store) as maintenance:
        done = {table: compact_table(maintenance, table) for table in before}
        again = {table: compact_table(maintenance, table) for table in before}
    assert {table: (item.n_removed, item.n_added, item.n_conflicts) for table, item in done.items()} == dict.fromkeys(before, (5, 1, 0))
    assert {table: (item.n_removed, item.n_added) for table, item in again.items()} == dict.fromkeys(before, (0, 0))
    assert content(store) == before


def test_a_pass_costs_what_is_new(folder_store):
    three_rows = 3 * 1024
    for number in range(6):
        ingest_one(folder_store, number)
    with maintaining(folder_store, fragment_bytes=three_rows) as maintenance:
        assert compact_table(maintenance, "documents").n_removed == 6
        large = fragments(folder_store, "documents")
        assert len(large) == 2
        for number in range(6, 8):
            ingest_one(folder_store, number)
        done = compact_table(maintenance, "documents")
    assert (done.n_removed, done.n_added) == (2, 1)
    assert fragments(folder_store, "documents")[:2] == large  # untouched
    assert folder_store.dataset("documents").count_rows() == 8


def test_deleted_rows_and_their_words_are_dropped_and_the_rest_is_found(folder_store):
    old = [document(f"{number}.txt", f"{LONG} word{number}") for number in range(4)]
    ingest(folder_store, shard("p1", 0, old))
    build_indices(folder_store)
    ingest(folder_store, shard("p2", 0, [document("0.txt", "brandnew", etag="e2")], known=old))
    build_indices(folder_store)
    with maintaining(folder_store) as maintenance:
        assert compact_table(maintenance, "passages").n_removed == 2
    build_indices(folder_store)

    passages = folder_store.dataset("passages")
    assert sum(fragment.num_deletions for fragment in passages.get_fragments()) == 0
    found = {word: passages.to_table(full_text_query=word)["doc_id"].to_pylist() for word in ("word0", "word1", "brandnew")}
    assert found == {"word0": [], "word1": [old[1].doc_id], "brandnew": [old[0].doc_id]}
    assert passages.to_table(filter=f"doc_id = '{old[2].doc_id}'").num_rows == 3
    assert {index.num_rows_indexed for index in passages.describe_indices()} == {passages.count_rows()}


def test_a_rewrite_gives_way_to_a_delete_and_is_planned_again(folder_store, monkeypatch):
    first, *others = [ingest_one(folder_store, number, LONG) for number in range(4)]
    with maintaining(folder_store) as maintenance:
        check, raced = maintenance.lease.check, []

        def race():
            """Between the rewrite and its commit another process deletes from the same fragments."""
            if not raced:
                raced.append(folder_store.dataset("segments").delete(f"doc_id = '{first.doc_id}' AND segment_index > 0"))
            check()

        monkeypatch.setattr(maintenance.lease, "check", race)
        done = compact_table(maintenance, "segments")
    assert (done.n_conflicts, done.n_removed, done.n_added) == (1, 4, 1)
    left = Counter(row["doc_id"] for row in rows(folder_store, "segments"))
    assert left == {first.doc_id: 1} | {item.doc_id: 3 for item in others}


def test_a_committer_finds_its_shards_behind_a_compaction(folder_store):
    """Of a compaction of an indexed table Lance can show no transaction; what was committed before it counts all the same."""
    for number in range(2):
        ingest_one(folder_store, number)
    build_indices(folder_store)
    records = [write(folder_store, shard("plan", number, [document(f"new-{number}.txt", LONG)])) for number in range(2)]
    with lease(folder_store) as held, maintaining(folder_store) as maintenance:
        marker = begin_plan(folder_store, "plan", "run-1", 2)
        for table in CONTENT_TABLES:
            Committer(folder_store, held, marker)._append(table, records[:1], partial(recorded_fragments, table))
            assert compact_table(maintenance, table).n_removed == 2
        assert Committer(folder_store, held, marker).commit(records) == 2
    assert [folder_store.dataset(table).count_rows() for table in CONTENT_TABLES] == [2 + 3 + 3, 2 + 3 + 3, 2 + 1 + 1]


def test_an_index_that_meets_a_compaction_is_built_again(folder_store, monkeypatch):
    for number in range(3):
        ingest_one(folder_store, number)
    with maintaining(folder_store) as maintenance:
        raced, original = [], index.SCALAR_INDICES["segments"]

        class Racing(tuple):
            """The table is compacted after the index builder has opened it."""

            def __iter__(self):
                if not raced:
                    raced.append(compact_table(maintenance, "segments"))
                return super().__iter__()

        monkeypatch.setitem(index.SCALAR_INDICES, "segments", Racing(original))
        build_indices(folder_store)
    assert raced[0].n_removed == 3
    assert [item.num_rows_indexed for item in folder_store.dataset("segments").describe_indices()] == [3]


def test_fragments_of_many_indexed_nights_become_one(folder_store):
    """Lance merges only fragments that the same indices cover: bringing the indices up to date comes first."""
    for number in range(4):
        ingest_one(folder_store, number)
        build_indices(folder_store)
    with maintaining(folder_store) as maintenance:
        assert {table: compact_table(maintenance, table).n_removed for table in CONTENT_TABLES} == dict.fromkeys(CONTENT_TABLES, 4)
        ingest_one(folder_store, 4)
        assert compact_table(maintenance, "passages").n_removed == 0  # not indexed yet
        build_indices(folder_store)
        assert compact_table(maintenance, "passages").n_removed == 2


def test_options_of_wide_and_narrow_rows():
    wide = compaction_options(schema.segments_schema(50, 4096), 512 * 2**20)
    assert wide["target_rows_per_fragment"] == 512 * 2**20 // (50 * 4096 * 2 + 1024)
    assert wide["batch_size"] * 50 * 4096 * 2 <= BATCH_BYTES
    narrow = compaction_options(schema.LEDGER, 512 * 2**20)
    assert (narrow["target_rows_per_fragment"], narrow["batch_size"]) == (512 * 1024, 8 * 1024)
    assert compaction_options(schema.segments_schema(50, 4096), 1)["target_rows_per_fragment"] == 1


def test_two_maintenances_exclude_each_other_and_an_ingest_goes_on(folder_store):
    config = StoreConfig(uri=folder_store.root, lease_seconds=5)
    with open_maintenance(config, MaintenanceConfig(), "first"):
        with pytest.raises(CommitError, match="by run first"), open_maintenance(config, MaintenanceConfig(), "second"):
            pytest.fail("two maintenances at once")
        ingest_one(folder_store, 0)
    assert folder_store.dataset("documents").count_rows() == 1
    with (
        pytest.raises(StorageError, match="holds no store"),
        open_maintenance(StoreConfig(uri=folder_store.root + "-2"), MaintenanceConfig(), "x"),
    ):
        pytest.fail("nothing to maintain")
