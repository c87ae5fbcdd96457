"""A document that kills its encoder worker every time is rejected after four deaths; the others of its shard are encoded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lloco_core.objects import LocalObjects
from lloco_core.store.attempts import WHOLE, ShardAttempts

REPOSITORY = Path(__file__).parents[2]


BESIDE = {"0": [*"abcd"], "1": ["e", "f", "poison-1", "g"], "2": [*"hij"], "3": ["poison-2", "poison-3", "k"], "4": [*"lm"]}
DRILLS = {
    "alone": {"in_flight": 1, "shards": {"0": ["a", "b"], "1": ["c", "poison", "d"], "2": ["e"]}},
    "unlucky": {"in_flight": 1, "shards": {"0": ["a", "unlucky", "b"]}},
    "two": {"in_flight": 2, "shards": BESIDE},
    "three": {"in_flight": 3, "shards": BESIDE},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("poison")


@pytest.fixture(scope="module")
def drilled(folder):
    arguments = [sys.executable, "-m", "tests.crash.poison_drill", str(folder), json.dumps(DRILLS)]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def codes(shard: dict) -> dict[str, str]:
    return {uri.rpartition("/")[2]: code for uri, (code, _) in shard["rejections"].items()}


def test_a_poison_document_costs_itself_and_four_workers(drilled, folder):
    result = drilled["alone"]
    assert result["workers"] == 5
    assert [shard["documents"] for shard in result["shards"].values()] == [["a", "b"], ["c", "d"], ["e"]]
    assert [shard["encode_seconds"] for shard in result["shards"].values()] == [1, 2, 1]
    assert codes(result["shards"]["1"]) == {"poison": "encoder_killed"}
    [(_, message)] = result["shards"]["1"]["rejections"].values()
    assert "twice" in message
    assert "tokens alone; read the worker's log" in message
    encoded = (folder / "alone" / "encoded").read_text().split("\n")
    assert encoded.count("a 2") == 1, "a finished shard is not repeated"
    assert encoded.count("poison 3") == encoded.count("poison 1") == 2


@pytest.mark.parametrize("in_flight", ["two", "three"])
def test_shards_that_die_beside_it_lose_nothing(drilled, in_flight):
    result = drilled[in_flight]
    assert {name for shard in result["shards"].values() for name in shard["documents"]} == set("abcdefghijklm")
    rejected = {name: code for shard in result["shards"].values() for name, code in codes(shard).items()}
    assert rejected == dict.fromkeys(("poison-1", "poison-2", "poison-3"), "encoder_killed")


def test_a_document_during_which_a_worker_died_once_is_encoded(drilled):
    result = drilled["unlucky"]
    assert set(result["shards"]["0"]["documents"]) == {"a", "unlucky", "b"}
    assert result["shards"]["0"]["rejections"] == {}
    assert result["workers"] == 4  # two deaths together, one alone


def test_only_a_death_leaves_a_note(tmp_path):
    attempts = ShardAttempts(LocalObjects(str(tmp_path)), "plan", "plan-0")
    with attempts.noted(WHOLE), attempts.noted("file:///a"):
        assert attempts.deaths() == {WHOLE: 1, "file:///a": 1}
    with pytest.raises(KeyError), attempts.noted("file:///a"):
        raise KeyError("an error is no death")
    assert attempts.deaths() == {}


def test_notes_of_a_shard_are_its_own(tmp_path):
    objects = LocalObjects(str(tmp_path))
    with ShardAttempts(objects, "plan", "plan-1").noted(WHOLE), ShardAttempts(objects, "plan", "plan-10").noted("x"):
        assert ShardAttempts(objects, "plan", "plan-1").deaths() == {WHOLE: 1}
