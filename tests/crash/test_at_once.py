"""Two processes that ingest one corpus into one store at the same moment, first night included, and a reader beside them.

The reader opens the newest night all the time and refuses one that mixes two states of the corpus.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lloco_core.settings import settings
from lloco_core.store.read import open_night
from tests.conftest import BUCKET, endpoint_of, reach
from tests.crash.drill import ledger

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def store_uri(request, tmp_path, monkeypatch):
    if request.param == "folder":
        yield str(tmp_path / "store")
        return
    reach(endpoint_of(request), monkeypatch)
    yield f"s3://{BUCKET}/{tmp_path.name}"
    settings.cache_clear()


def run_nights(folder, store_uri, nights, wait):
    arguments = [sys.executable, "-m", "tests.crash.at_once", str(folder), store_uri, "1", str(nights), str(wait)]
    done = subprocess.run(arguments, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=1700)
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout)


def assert_nothing_lost_or_twice(store_uri, result, nights):
    night = open_night(store_uri)
    assert {document.uri: document.content_hash for document in night.documents()} == result["last"]
    shards = Counter(row["shard_id"] for row in ledger(store_uri) if row["entry"] == "shard")
    assert set(shards.values()) == {1}
    published = [row["run_id"] for row in ledger(store_uri) if row["entry"] == "night"]
    assert len(published) == len({name.rpartition("-")[0] for name in published}) == nights  # the other process had nothing left to do
    assert set(result["reads"]) <= set(published)


@pytest.mark.parametrize(("store_uri", "nights"), [("folder", 2), pytest.param("ceph", 1, marks=pytest.mark.real)], indirect=["store_uri"])
def test_two_ingests_at_once_and_a_reader(tmp_path, store_uri, nights):
    result = run_nights(tmp_path, store_uri, nights, wait=0)
    assert_nothing_lost_or_twice(store_uri, result, nights)
    assert result["reads"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("store_uri", "nights"),
    [
        pytest.param("folder", 6, marks=pytest.mark.real),
        pytest.param("folder", 20, marks=pytest.mark.long),
        pytest.param("ceph", 8, marks=pytest.mark.long),
    ],
    indirect=["store_uri"],
)
def test_many_nights_of_two_ingests_at_once_and_a_reader(tmp_path, store_uri, nights):
    result = run_nights(tmp_path, store_uri, nights, wait=60)
    assert_nothing_lost_or_twice(store_uri, result, nights)
    assert result["refused"] == 0  # they waited for each other
    assert len(result["reads"]) > nights / 3
