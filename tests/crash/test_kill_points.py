"""A driver that is killed (kill -9) at every step of a night: the next run ends with the tables of an undisturbed one.

The night changes a store that has documents already, so there is something to replace, to retire, and to resolve.
"""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lloco_core.store.events import shard_events
from lloco_core.store.read import open_night
from lloco_core.store.records import load_records, open_plans
from lloco_core.store.tables import CONTENT_TABLES, Store
from tests.crash.drill import CHANGED, change_corpus, ledger, picture, write_corpus
from tests.crash.loop import POINTS, ToyEncoder, ingest

TWICE = "in recovery"
SECOND_SHARD, LAST_SHARD = {"new-1", "doc-4"}, {"doc-8", "new-2"}
"""Documents to encode of the shard that is interrupted, and of the one after it."""

KEPT_SEGMENTS = 4 + 4
"""Whole segments of the two texts that grew."""

NOTHING_RECORDED = ("before the plan is written", "before the plan is opened")

FULLY_RECORDED = (
    "before the first commit",
    "before what is gone is recorded",
    "before what is gone is removed",
    "before switching",
    "before the plan is closed",
    "before indexing",
    "before publishing",
    "between two tags",
    "between tags and night",
)
"""Points at which every shard has its record: nothing is encoded again."""

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="module")
def killed(corpus, tmp_path_factory):
    """Per point: the store of an interrupted night. Key `None` is the undisturbed one."""
    folder = tmp_path_factory.mktemp("stores")
    write_corpus(corpus)
    ingest(corpus, str(folder / "first"), "night-1")
    (folder / "first.encoded").unlink()
    change_corpus(corpus)
    stores = {point: folder / point.replace(" ", "-") for point in (*POINTS, TWICE)}
    for store in stores.values():
        shutil.copytree(folder / "first", store)
    drills = [f"{point}={stores[point]}" for point in POINTS]
    run(corpus, "night-2", [*drills, f"before documents={stores[TWICE]}", f"{TWICE}={stores[TWICE]}"])
    undisturbed = shutil.copytree(folder / "first", folder / "undisturbed")
    ingest(corpus, str(undisturbed), "night-2")
    return {**{point: str(store) for point, store in stores.items()}, None: str(undisturbed)}


def run(corpus, run_id, drills):
    arguments = [sys.executable, "-m", "tests.crash.loop", str(corpus), run_id, *drills]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{drill.partition('=')[0]}=-9" for drill in drills], done.stderr


def encoded(store_uri):
    path = Path(f"{store_uri}.encoded")
    return Counter(path.read_text().split()) if path.exists() else Counter()


@pytest.fixture(scope="module")
def expected(killed):
    return picture(killed[None])


def test_the_undisturbed_night_is_what_the_corpus_says(killed, expected):
    status = Counter(row["status"] for row in expected["documents"])
    assert status == {"active": 12, "superseded": 4, "deleted": 2}  # 3 changed texts and a touched file were replaced
    assert {row["uri"].rpartition("/")[2]: row["attempts"] for row in expected["quarantine"]} == {"doc-3.txt": 1, "worse.txt": 2}
    assert encoded(killed[None]) == Counter(CHANGED)
    night = open_night(killed[None])
    assert (night.name, night.groups()) == ("night-2", {"north": 6, "south": 6})


def test_texts_that_grew_are_continued_and_equal_a_first_encoding(killed, corpus, expected, tmp_path):
    store = Store(killed[None])
    plans = {row["plan_id"] for row in ledger(killed[None]) if row["run_id"] == "night-2" and row["entry"] == "shard"}
    records = [record for plan in plans for record in load_records(store.objects, plan)]
    kept = sum(record.n_tokens - record.n_encoded_tokens for record in records)
    renamed = len((corpus / "north" / "renamed.txt").read_text())  # a token per character
    assert kept == KEPT_SEGMENTS * ToyEncoder.segment_length + renamed

    ingest(corpus, str(tmp_path / "fresh"), "night-1")
    first = picture(str(tmp_path / "fresh"))["segments"]
    documents = {row["doc_id"] for row in first}
    assert [row for row in expected["segments"] if row["doc_id"] in documents] == first


@pytest.mark.parametrize("point", [*POINTS, TWICE])
def test_the_next_run_ends_as_if_nothing_had_happened(killed, corpus, expected, point):
    store_uri = killed[point]
    before = encoded(store_uri)
    assert open_night(store_uri).name == "night-1"  # readers see the last whole night
    result = ingest(corpus, store_uri, "night-3")

    found = picture(store_uri)
    for table, rows in expected.items():
        assert found[table] == rows, table
    shards = [row["shard_id"] for row in ledger(store_uri) if row["entry"] == "shard"]
    assert len(shards) == len(set(shards))
    assert sum(row["n_documents"] for row in ledger(store_uri) if row["entry"] == "shard") == 10 + len(CHANGED) + len({"renamed"})
    assert open_plans(Store(store_uri).objects) == []
    events = [event for run_id in ("night-1", "night-2", "night-3") for event in shard_events(Store(store_uri).objects, run_id)]
    assert sorted(event["shard"] for event in events) == sorted(shards)
    uncounted = [event for event in events if event["commit_seconds"] is None]
    assert len(uncounted) == (1 if point == "after ledger" else 0)  # killed between the ledger and its line

    again = encoded(store_uri) - before
    assert set(again) == to_encode_after(point)
    assert set(before + again) == CHANGED

    night = open_night(store_uri)
    assert night.name == result["night"] == "night-3"
    tags = [Store(store_uri).dataset(name).tags.list()[night.name]["version"] for name in CONTENT_TABLES]
    assert tags == [night.versions[name] for name in CONTENT_TABLES]


def to_encode_after(point):
    if point in NOTHING_RECORDED:
        return CHANGED
    if point == "before a record":
        return {*LAST_SHARD, *SECOND_SHARD}
    return set() if point in FULLY_RECORDED else LAST_SHARD


def test_a_finished_night_is_not_done_again(killed, corpus):
    store_uri = killed[None]
    versions = {name: Store(store_uri).dataset(name).version for name in (*CONTENT_TABLES, "quarantine", "ledger")}
    result = ingest(corpus, store_uri, "night-9")
    assert result == {"recovered": 0, "planned": [], "night": "night-2"}
    assert {name: Store(store_uri).dataset(name).version for name in versions} == versions
