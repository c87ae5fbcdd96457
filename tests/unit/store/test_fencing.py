"""A committer that lost its lease cannot write any more, whatever it was about to do; what it wrote before counts once."""

from __future__ import annotations

from collections import Counter

import pytest

from lloco_core.errors import CommitError
from lloco_core.store import fencing
from lloco_core.store.commit import Committer, begin_plan, recover_plans
from lloco_core.store.fencing import commit_lease, fence, open_to_write
from lloco_core.store.tables import Store
from lloco_core.store.transactions import committed_properties
from tests.unit.store.fixtures import document, ingest, known_of, lease, rows, shard, write

OLD = document("a.txt", "one two three")
NEW = document("a.txt", "one two three four five")


@pytest.fixture
def two_shards(store: Store):
    """A plan of two written shards: the second replaces a stored document."""
    ingest(store, shard("p0", 0, [OLD]))
    records = [write(store, shard("p1", 0, [document("b.txt", "six")])), write(store, shard("p1", 1, [NEW], known=[OLD]))]
    return records, begin_plan(store, "p1", "run-1", 2)


def lost(store: Store, monkeypatch: pytest.MonkeyPatch):
    """A lease whose holder believes to hold it: it looked just before it was lost."""
    held = lease(store, "run-1", seconds=5)
    held.__enter__()
    monkeypatch.setattr(held, "check", lambda: None)
    return held


def take_over(store: Store, monkeypatch: pytest.MonkeyPatch, held) -> int:
    """Another run holds the lease now and finishes the plan; returns how many shards it committed."""
    held._stop.set()
    monkeypatch.setattr("lloco_core.store.lease._is_alive", lambda pid, started: False)
    with commit_lease(store, "run-2", 5) as lease:
        assert lease.took_over
        return recover_plans(store, lease)


@pytest.mark.parametrize("table", ["segments", "passages", "documents", "ledger"])
def test_an_append_that_was_on_its_way_is_refused(store: Store, two_shards, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    records, marker = two_shards
    held = lost(store, monkeypatch)
    committer = Committer(store, held, marker)
    committer.commit(records[:1])
    original, taken = fencing.open_to_write, []

    def slow(store_, lease_, name):
        dataset = original(store_, lease_, name)
        if name == table and not taken:
            taken.append(name)
            assert take_over(store, monkeypatch, held) == 1
        return dataset

    monkeypatch.setattr("lloco_core.store.commit.open_to_write", slow)
    with pytest.raises(OSError, match="incompatible with concurrent transaction Restore"):
        committer.commit(records[1:])
    assert_once(store)


def test_a_change_that_was_on_its_way_is_refused(store: Store) -> None:
    ingest(store, shard("p0", 0, [OLD]))
    stale = {name: store.dataset(name) for name in ("documents", "segments", "quarantine")}
    fence(store)
    refused = pytest.raises(OSError, match="incompatible with concurrent transaction Restore")
    with refused:
        stale["documents"].update({"status": "'superseded'"}, where="status = 'active'")
    with refused:
        stale["segments"].delete("segment_index = 0")
    with refused:
        stale["quarantine"].merge_insert("uri").when_not_matched_insert_all().execute(_quarantine_row(store))
    assert [row["status"] for row in rows(store, "documents")] == ["active"]


def _quarantine_row(store: Store):
    import pyarrow as pa

    columns = {"uri": "u", "source_uri": "u", "etag": "e", "stage": "read", "code": "empty"}
    return pa.Table.from_pylist([columns], schema=store.dataset("quarantine").schema)


def test_a_holder_that_looks_after_it_lost_the_lease_stops(store: Store, two_shards, monkeypatch: pytest.MonkeyPatch) -> None:
    records, marker = two_shards
    with lease(store, "run-1", seconds=5) as held:
        committer = Committer(store, held, marker)
        assert take_over(store, monkeypatch, held) == 2
        with pytest.raises(CommitError, match="taken over by epoch"):
            committer.commit(records)
    assert_once(store)


def test_what_came_before_the_fence_is_not_committed_again(store: Store, two_shards, monkeypatch: pytest.MonkeyPatch) -> None:
    records, marker = two_shards
    held = lost(store, monkeypatch)
    committer = Committer(store, held, marker)
    monkeypatch.setattr("lloco_core.store.commit.retire_replaced", _die)
    with pytest.raises(RuntimeError, match="killed here"):
        committer.commit(records)
    monkeypatch.undo()
    assert take_over(store, monkeypatch, held) == 2
    assert_once(store)


def _die(*_):
    raise RuntimeError("killed here")


def test_a_write_between_reading_a_version_and_fencing_it_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restore of the fence goes back before that write at first."""
    ingest(store, shard("p0", 0, [OLD]))
    marker = begin_plan(store, "p1", "run-1", 1)
    record = write(store, shard("p1", 0, [document("b.txt", "six")]))
    original, calls = Store.dataset, []

    def dataset(self, name, version=None):
        found = original(self, name, version)
        if version is not None and not calls:
            calls.append(name)
            monkeypatch.setattr(Store, "dataset", original)
            with lease(store) as held:
                Committer(store, held, marker).commit([record])
        return found

    monkeypatch.setattr(Store, "dataset", dataset)
    fence(store)
    assert calls
    assert Counter(row["uri"].rpartition("/")[2] for row in rows(store, "documents")) == {"a.txt": 1, "b.txt": 1}
    for name in ("segments", "passages", "documents"):
        shards = committed_properties(store.dataset(name), marker.base_versions[name])
        assert [found.get("lloco.plan") for found in shards] == ["p1"], name


def test_a_lease_that_was_released_needs_no_fence(store: Store) -> None:
    ingest(store, shard("p0", 0, [OLD]))
    versions = {name: store.dataset(name).version for name in fencing.WRITTEN_TABLES}
    with commit_lease(store, "run-2", 600) as held:
        assert not held.took_over
        assert open_to_write(store, held, "documents").version == versions["documents"]
    assert {name: store.dataset(name).version for name in versions} == versions


def test_a_restore_undoes_what_was_committed_since(store: Store) -> None:
    """What a rollback takes out of a table may be committed again."""
    ingest(store, shard("p0", 0, [OLD]))
    base = store.dataset("documents").version
    ingest(store, shard("p1", 0, [document("b.txt", "six")]))
    assert len(committed_properties(store.dataset("documents"), base)) == 1
    store.dataset("documents", base).restore()
    assert committed_properties(store.dataset("documents"), base) == []


def assert_once(store: Store) -> None:
    active = [row["uri"].rpartition("/")[2] for row in rows(store, "documents") if row["status"] == "active"]
    assert sorted(active) == ["a.txt", "b.txt"]
    [new] = [row for row in rows(store, "documents") if row["status"] == "active" and row["uri"].endswith("a.txt")]
    assert new["version_id"] == known_of(NEW).version_id
    versions = Counter(row["version_id"] for row in rows(store, "segments"))
    assert versions == {row["version_id"]: row["n_segments"] for row in rows(store, "documents", "status = 'active'")}
    assert Counter(row["shard_id"] for row in rows(store, "ledger")) == {"p0-000000": 1, "p1-000000": 1, "p1-000001": 1}


def test_a_holder_that_could_not_fence_does_not_look_released(store: Store, two_shards, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the next one would not fence either."""
    held = lost(store, monkeypatch)
    held._stop.set()
    monkeypatch.setattr("lloco_core.store.lease._is_alive", lambda pid, started: False)
    monkeypatch.setattr(fencing, "fence", _die)
    with pytest.raises(RuntimeError, match="killed here"), commit_lease(store, "run-2", 5):
        pytest.fail("the lease must not be had without its fence")
    with commit_lease_without(store, monkeypatch) as third:
        assert third.took_over


def commit_lease_without(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fencing, "fence", fence)
    return commit_lease(store, "run-3", 5)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("table", ["segments", "documents", "ledger"])
def test_what_an_interrupt_left_on_its_way_is_refused(store: Store, two_shards, table: str, interrupt: type[BaseException]) -> None:
    """Lance's threads go on with a write that its caller left; the lease looks released, so the next run does not fence."""
    on_its_way = store.dataset(table)
    rows_before = on_its_way.count_rows()
    with pytest.raises(interrupt), commit_lease(store, "run-1", 5):
        raise interrupt
    with commit_lease(store, "run-2", 5) as next_one:
        assert not next_one.took_over
    with pytest.raises(OSError, match="Incompatible transaction"):
        on_its_way.delete("true")
    assert store.dataset(table).count_rows() == rows_before


def test_an_error_that_is_no_interrupt_needs_no_fence(store: Store, two_shards) -> None:
    versions = [store.dataset(name).version for name in ("segments", "ledger")]
    with pytest.raises(CommitError), commit_lease(store, "run-1", 5):
        raise CommitError("as any other")
    assert [store.dataset(name).version for name in ("segments", "ledger")] == versions
