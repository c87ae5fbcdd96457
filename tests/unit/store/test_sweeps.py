"""Sweeps: what nothing refers to goes, what an unfinished plan or a young run may still need stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from lloco_core.objects import S3Objects
from lloco_core.objects.local import WRITING
from lloco_core.store import schema
from lloco_core.store.commit import begin_plan, recover_plans
from lloco_core.store.maintenance.leftovers import sweep_leftovers
from lloco_core.store.maintenance.orphans import sweep_orphans
from lloco_core.store.maintenance.versions import clean_versions
from lloco_core.store.records import load_records
from lloco_core.store.tables import CONTENT_TABLES
from tests.conftest import BUCKET
from tests.unit.store.fixtures import document, ingest, lease, maintaining, rows, shard, write

LONG = "one two three four five six seven eight nine"
NOW = datetime.now(UTC)
LATER, EARLIER = NOW + timedelta(days=1), NOW - timedelta(days=1)


def files(store, table):
    return {item.key.rpartition("/")[2] for item in store.objects.list(f"{table}.lance/data/")}


def names(record, table):
    return {file["path"] for fragment in record.fragments[table] for file in fragment["files"]}


def test_orphans_go_and_what_a_plan_has_written_stays(store):
    ingest(store, shard("done", 0, [document("a.txt", LONG)]))
    committed = {table: files(store, table) for table in CONTENT_TABLES}
    begin_plan(store, "plan", "run-2", 1)
    item = shard("plan", 0, [document("b.txt", LONG)])
    waiting = write(store, item)
    write(store, item, "run-3")  # a second attempt, which lost: its files are orphans
    with maintaining(store) as maintenance:
        young = sweep_orphans(maintenance, "segments", EARLIER)
        assert young.n_objects == 0
        for table in CONTENT_TABLES:
            before = files(store, table)
            assert len(before) == 3
            swept = sweep_orphans(maintenance, table, LATER)
            assert swept.n_objects == 1
            assert swept.n_bytes > 0
            assert files(store, table) == committed[table] | names(waiting, table)
            assert sweep_orphans(maintenance, table, LATER).n_objects == 0
    with lease(store) as held:
        assert recover_plans(store, held) == 1
    assert sorted(row["title"] for row in rows(store, "documents")) == ["a.txt", "b.txt"]
    assert store.dataset("segments").to_table().num_rows == 6


def test_files_of_versions_that_are_kept_are_no_orphans(store):
    old = document("a.txt", LONG)
    ingest(store, shard("p1", 0, [old]))
    store.dataset("segments").tags.create("night", store.dataset("segments").version)
    ingest(store, shard("p2", 0, [document("a.txt", "else", etag="e2")], known=[old]))
    with maintaining(store, grace_hours=0) as maintenance:
        store.dataset("segments").optimize.compact_files()
        clean_versions(maintenance, "segments", LATER)
        assert sweep_orphans(maintenance, "segments", LATER).n_objects == 0
    assert store.dataset("segments", store.dataset("segments").tags.list()["night"]["version"]).to_table().num_rows == 3


@pytest.fixture
def leftovers(store):
    """A finished plan, an open one, and adapters of which one is registered."""
    for plan_id in ("done", "open-plan"):
        write(store, shard(plan_id, 0, [document(f"{plan_id}.txt", LONG)]))
    begin_plan(store, "open-plan", "run-2", 1)
    row = {"adapter_id": "a--1", "group_id": "a", "encoder_fingerprint": "e", "status": "registered", "created_at": NOW}
    refused = row | {"adapter_id": "c--1", "status": "rejected"}
    _append(store, pa.Table.from_pylist([row, refused], schema=schema.ADAPTERS))
    for adapter in ("a--1", "b--1", "c--1"):
        store.objects.put(f"_training/{adapter}.parquet", b"questions")
        store.objects.put(f"_training/{adapter}/checkpoint_1/rank_0.pt", b"weights")
    store.objects.put("_probe/1", b"x")
    return store


def _append(store, table):
    import lance

    lance.write_dataset(table, store.table_uri("adapters"), mode="append", storage_options=store.storage_options)


def test_leftovers_go_when_they_are_old(leftovers):
    with maintaining(leftovers) as maintenance:
        assert {item.n_objects for item in sweep_leftovers(maintenance, EARLIER)} == {0}
        swept = {item.what: item.n_objects for item in sweep_leftovers(maintenance, LATER)}
    assert swept == {
        "records of finished plans": 1,
        "checkpoints of registered adapters": 1,
        "probes": 1,
        "unfinished writes": 0,
    }
    assert load_records(leftovers.objects, "done") == []
    assert len(load_records(leftovers.objects, "open-plan")) == 1
    left = [item.key for item in leftovers.objects.list("_training/")]
    assert left == [
        "_training/a--1.parquet",
        "_training/b--1.parquet",
        "_training/b--1/checkpoint_1/rank_0.pt",
        "_training/c--1.parquet",
        "_training/c--1/checkpoint_1/rank_0.pt",
    ]


def test_unfinished_writes_are_dropped(store):
    if isinstance(store.objects, S3Objects):
        key = f"{store.objects.prefix}/segments.lance/data/big.lance"
        store.objects._client.create_multipart_upload(Bucket=BUCKET, Key=key)
    else:
        Path(store.root, "adapters", WRITING + "1").parent.mkdir()
        Path(store.root, "adapters", WRITING + "1").write_bytes(b"half")
    [found] = store.objects.unfinished()
    begun = datetime.fromtimestamp(found.modified, UTC)  # moto's uploads are all from 2010
    with maintaining(store) as maintenance:
        assert sweep_leftovers(maintenance, begun - timedelta(minutes=1))[-1].n_objects == 0
        assert sweep_leftovers(maintenance, begun + timedelta(minutes=1))[-1].n_objects == 1
    assert list(store.objects.unfinished()) == []
    store.objects.abandon(found)  # a second time: nothing happens
