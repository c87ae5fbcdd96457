"""One JSON line per committed shard, also when a crash or a repetition came between."""

import json
import logging

import pytest

from lloco_core.store.commit import Committer, begin_plan, recover_plans
from lloco_core.store.events import shard_events
from lloco_core.types import Rejection
from tests.unit.store.fixtures import document, lease, rows, shard, write

TEXT = "one two three four five"
SECRET_TEXT = "hunter2 is what the text says"


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.INFO, logger="lloco_core.events")
    return lambda: [json.loads(message) for name, _, message in caplog.record_tuples if name == "lloco_core.events"]


def test_a_line_says_what_became_of_a_shard_and_holds_no_text(store, logged):
    bad = Rejection("file:///corpus/bad.txt", "e1", "parse", "empty", SECRET_TEXT)
    documents = [document("a/1.txt", SECRET_TEXT, group="a\nb"), document("b/2.txt", "two", group="c")]
    with lease(store) as held:
        committer = Committer(store, held, begin_plan(store, "p1", "run-1", 1))
        committer.commit([write(store, shard("p1", 0, documents, rejections=[bad, bad]))])
    [event] = shard_events(store.objects, "run-1")
    assert logged() == [event]
    assert (event["run"], event["plan"], event["shard"]) == ("run-1", "p1", "p1-000000")
    assert (event["documents"], event["segments"], event["tokens"], event["encoded_tokens"]) == (2, 3, 7, 7)
    assert (event["groups"], event["quarantined"], event["attempts"]) == ({"a\nb": 6, "c": 1}, {"empty": 2}, 1)
    assert (event["bytes"], event["encode_seconds"]) == (3, 0.5)
    assert event["commit_seconds"] > 0
    assert "hunter2" not in json.dumps(event)
    [item] = store.objects.list("_runs/run-1/shards/")
    assert store.objects.get(item.key).count(b"\n") == 1


def test_every_commit_adds_its_lines_and_repeating_it_adds_none(store, logged):
    shards = [write(store, shard("p1", number, [document(f"{number}.txt", TEXT)])) for number in range(3)]
    with lease(store) as held:
        marker = begin_plan(store, "p1", "run-1", 3)
        committer = Committer(store, held, marker)
        committer.commit(shards[:2])
        committer.commit(shards)
        Committer(store, held, marker).commit(shards)
    assert [event["shard"] for event in shard_events(store.objects, "run-1")] == [item.shard_id for item in shards]
    assert [event["shard"] for event in logged()] == [item.shard_id for item in shards]


def test_a_line_that_could_not_be_written_is_written_by_the_next_run(store, monkeypatch):
    record = write(store, shard("p1", 0, [document("1.txt", TEXT)]))
    with lease(store) as held:
        committer = Committer(store, held, begin_plan(store, "p1", "run-1", 1))
        with monkeypatch.context() as broken:
            broken.setattr(committer._events, "add", lambda *_: (_ for _ in ()).throw(OSError("killed")))
            with pytest.raises(OSError, match="killed"):
                committer.commit([record])
    assert shard_events(store.objects, "run-1") == []
    assert len(rows(store, "ledger", "entry = 'shard'")) == 1
    with lease(store, "run-2") as held:
        assert recover_plans(store, held) == 0
    [event] = shard_events(store.objects, "run-1")
    assert (event["run"], event["shard"], event["commit_seconds"]) == ("run-1", record.shard_id, None)


def test_commits_are_counted_once_by_the_run_that_makes_them(store):
    counted = []
    records = [write(store, shard("p1", number, [document(f"{number}.txt", TEXT)])) for number in range(2)]
    with lease(store) as held:
        committer = Committer(store, held, begin_plan(store, "p1", "run-1", 2), lambda batch, _: counted.append(batch))
        committer.commit(records[:1])
    with lease(store, "run-2") as held:
        assert recover_plans(store, held, lambda batch, seconds: counted.append(batch)) == 1
    assert counted == [records[:1], records[1:]]
