"""Old nights and old versions: what is kept, what can still be read, and what an open plan needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lloco_core.errors import StorageError
from lloco_core.store.commit import Committer, begin_plan, recover_plans
from lloco_core.store.maintenance.retention import RETIRED, kept_nights, retire_nights
from lloco_core.store.maintenance.versions import clean_versions, refusal, removable_versions
from lloco_core.store.nights import nights_that_open, publish_night
from lloco_core.store.read import open_night
from lloco_core.store.status import store_status
from lloco_core.store.tables import CONTENT_TABLES, TABLES
from tests.unit.store.fixtures import document, ingest, lease, maintaining, new_store, rows, shard, write

LONG = "one two three four five six seven eight nine"


@pytest.fixture
def folder_store(tmp_path):
    return new_store(str(tmp_path / "store"))


def publish(store, number):
    """A night in which `a.txt` is another text."""
    found = document("a.txt", f"{LONG} {number}", etag=f"e{number}")
    known = [document("a.txt", f"{LONG} {number - 1}", etag=f"e{number - 1}")] if number else []
    ingest(store, shard(f"p{number}", 0, [found], known=known), run_id=f"run-{number}")
    return publish_night(store, f"run-{number}")


def night_row(name, year, month, day):
    return {"run_id": name, "committed_at": datetime(year, month, day, 2, tzinfo=UTC)}


def test_the_newest_nights_and_one_of_each_earlier_month_are_kept():
    nights = [night_row("aug-31", 2026, 8, 31), night_row("sep-1", 2026, 9, 1), night_row("sep-30", 2026, 9, 30)]
    nights += [night_row(f"oct-{day}", 2026, 10, day) for day in (1, 30, 31)] + [
        night_row(f"nov-{day}", 2026, 11, day) for day in (1, 2, 3)
    ]
    assert kept_nights(nights, 2, 0) == {"nov-2", "nov-3"}
    assert kept_nights(nights, 2, 1) == {"nov-2", "nov-3", "oct-31"}
    assert kept_nights(nights, 2, 2) == {"nov-2", "nov-3", "oct-31", "sep-30"}
    assert kept_nights(nights, 5, 1) == {"nov-1", "nov-2", "nov-3", "oct-31", "oct-30"}
    assert kept_nights(nights, 1, 99) == {"nov-3", "oct-31", "sep-30", "aug-31"}
    assert kept_nights(nights[:1], 7, 1) == {"aug-31"}
    assert kept_nights([], 7, 1) == set()


def test_versions_that_somebody_needs_stay():
    start = datetime(2026, 11, 1, tzinfo=UTC)
    versions = [(version, start + timedelta(days=version)) for version in range(1, 8)]
    assert removable_versions(versions, set(), None, start + timedelta(days=99)) == [1, 2, 3, 4, 5, 6]
    assert removable_versions(versions, {2, 3}, None, start + timedelta(days=99)) == [1, 4, 5, 6]
    assert removable_versions(versions, {2, 3}, 5, start + timedelta(days=99)) == [1, 4]
    # version 3 was the newest one until day 4: whoever opened it then may read it for the grace period after that
    assert removable_versions(versions, set(), None, start + timedelta(days=4)) == [1, 2]
    assert removable_versions(versions[:1], set(), None, start + timedelta(days=99)) == []


def test_a_retired_night_is_refused_and_read_on_until_its_grace_ends(folder_store):
    for number in range(4):
        publish(folder_store, number)
    reader = open_night(folder_store.root, "run-1")
    now = datetime.now(UTC)
    with maintaining(folder_store, keep_nights=2, grace_hours=24) as maintenance:
        assert retire_nights(maintenance, now) == ["run-0", "run-1"]
        assert retire_nights(maintenance, now) == []
        assert [clean_versions(maintenance, table, now).n_versions for table in TABLES] == [0] * len(TABLES)

        with pytest.raises(StorageError, match=r"night 'run-1' .* was cleaned up; `lloco status`"):
            open_night(folder_store.root, "run-1")
        assert [night["night"] for night in store_status(folder_store.root).nights] == ["run-2", "run-3"]
        assert reader.text(document("a.txt", "").doc_id) == f"{LONG} 1"

        later = now + timedelta(hours=25)
        assert all(clean_versions(maintenance, table, later).n_versions for table in CONTENT_TABLES)
    for table in CONTENT_TABLES:
        dataset = folder_store.dataset(table)
        assert sorted(dataset.tags.list()) == ["run-2", "run-3"]
        assert [item["version"] for item in dataset.versions()] == [tag["version"] for _, tag in sorted(dataset.tags.list().items())]
    for number in (2, 3):
        assert open_night(folder_store.root, f"run-{number}").text(document("a.txt", "").doc_id) == f"{LONG} {number}"
    assert sorted(row["run_id"] for row in rows(folder_store, "ledger", "entry = 'night'")) == [f"run-{number}" for number in range(4)]


def test_a_killed_retirement_is_finished_by_the_next(folder_store):
    for number in range(2):
        publish(folder_store, number)
    tags = {name: folder_store.dataset(name).tags for name in CONTENT_TABLES}
    version = tags["segments"].list()["run-0"]["version"]
    tags["segments"].create(RETIRED + "run-0", version)
    tags["segments"].delete("run-0")
    tags["passages"].create(RETIRED + "run-0", tags["passages"].list()["run-0"]["version"])
    assert [night["run_id"] for night in nights_that_open(folder_store)] == ["run-1"]
    with maintaining(folder_store, keep_nights=1, keep_monthly=0, grace_hours=0) as maintenance:
        retire_nights(maintenance, datetime.now(UTC))
        for table in CONTENT_TABLES:
            clean_versions(maintenance, table, datetime.now(UTC))
    assert {name: list(folder_store.dataset(name).tags.list()) for name in CONTENT_TABLES} == {name: ["run-1"] for name in CONTENT_TABLES}


def test_tags_of_a_night_that_was_never_published_go_and_those_of_others_stay(folder_store):
    publish(folder_store, 0)
    folder_store.objects.put("_runs/run-killed/config.json", b"{}")
    for name in ("run-killed", "by-hand"):
        folder_store.dataset("segments").tags.create(name, 1)
    now = datetime.now(UTC)
    with maintaining(folder_store) as maintenance:
        assert retire_nights(maintenance, now) == []  # it may be publishing
        assert retire_nights(maintenance, now + timedelta(hours=25)) == ["run-killed"]
    assert sorted(folder_store.dataset("segments").tags.list()) == ["by-hand", RETIRED + "run-killed", "run-0"]


def test_an_open_plan_keeps_its_versions_and_is_finished_afterwards(folder_store):
    publish(folder_store, 0)
    records = [write(folder_store, shard("plan", number, [document(f"{number}.txt", LONG)])) for number in range(2)]
    with lease(folder_store) as held:
        marker = begin_plan(folder_store, "plan", "run-9", 2)
        Committer(folder_store, held, marker).commit(records[:1])  # then it was killed
    with maintaining(folder_store, keep_nights=1, grace_hours=0) as maintenance:
        assert [clean_versions(maintenance, table, datetime.now(UTC)).n_versions for table in CONTENT_TABLES] == [1, 1, 1]  # the empty ones
        for table, base in marker.base_versions.items():
            assert base in {item["version"] for item in folder_store.dataset(table).versions()}
        with lease(folder_store) as held:
            assert recover_plans(folder_store, held) == 1
        assert sum(clean_versions(maintenance, table, datetime.now(UTC)).n_versions for table in TABLES) > 3
    assert [folder_store.dataset(table).count_rows() for table in CONTENT_TABLES] == [3 * 3 + 1 - 1, 9, 3]


def test_nothing_is_cleaned_while_an_old_plan_waits(folder_store):
    """Lance would take its uncommitted files for garbage."""
    for number in range(2):
        publish(folder_store, number)
    begin_plan(folder_store, "plan", "run-9", 2)
    now = datetime.now(UTC)
    assert refusal(folder_store, now + timedelta(days=5)) == ""
    assert f"unfinished since {now:%Y-%m-%d}" in refusal(folder_store, now + timedelta(days=7))
    with maintaining(folder_store, grace_hours=0) as maintenance:
        assert clean_versions(maintenance, "documents", now + timedelta(days=7)).n_versions == 0
        assert clean_versions(maintenance, "documents", now + timedelta(days=5)).n_versions > 0
