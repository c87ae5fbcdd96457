"""Going back to an earlier night: the newest state equals it, whatever was interrupted on the way."""

import pytest

from lloco_core.errors import CommitError, StorageError
from lloco_core.registry.active import active_adapter
from lloco_core.store import rollback as module
from lloco_core.store.commit import begin_plan
from lloco_core.store.forgetting.forget import preview
from lloco_core.store.forgetting.purge import forget_and_finish
from lloco_core.store.nights import publish_night
from lloco_core.store.read import open_night
from lloco_core.store.rollback import NOTE, finish_rollback, rollback
from lloco_core.store.switching import MARKER
from lloco_core.store.tables import CONTENT_TABLES
from lloco_core.types import Rejection
from tests.unit.store.fixtures import document, ingest, lease, rows, shard, vectors_of
from tests.unit.store.test_night_adapters import put_adapter

LONG = "one two three four five six seven eight nine"
FIRST = [document("a/1.txt", LONG), document("a/2.txt", "second text"), document("b/3.txt", "third", group="b")]


@pytest.fixture
def nights(store):
    """Two nights: the second one has a changed and a new document, other adapters, and a rejection."""
    ingest(store, shard("p1", 0, FIRST))
    adapters = {"a": put_adapter(store, "a", 1)}
    publish(store, "night-1", b'{"night": 1}')
    bad = Rejection("file:///corpus/bad.txt", "e1", "parse", "empty", "nothing in it")
    changed = [document("a/1.txt", "all new", etag="e2"), document("a/4.txt", "fourth")]
    ingest(store, shard("p2", 0, changed, known=[FIRST[0]], rejections=[bad]), run_id="night-2")
    put_adapter(store, "a", 2)
    put_adapter(store, "b", 1)
    publish(store, "night-2", b'{"night": 2}')
    return adapters


def publish(store, name, config):
    store.objects.put(f"_runs/{name}/config.json", config)
    publish_night(store, name)


def is_as_on_night_1(store, adapters):
    night = open_night(store.root)
    assert night.name.startswith("rollback-")
    assert store.objects.get(f"_runs/{night.name}/config.json") == b'{"night": 1}'
    old = open_night(store.root, "night-1")
    for table in CONTENT_TABLES:
        assert store.dataset(table).to_table() == night.table(table).to_table()  # newer versions may be those of a fence
        assert night.table(table).to_table() == old.table(table).to_table()
    assert night.adapters == old.adapters == adapters
    assert active_adapter(store.objects, "a").adapter_id == adapters["a"]
    assert store.objects.stat(NOTE) is None
    return night


def test_going_back_restores_tables_adapters_and_configuration(store, nights):
    name = rollback(store, "night-1")
    night = is_as_on_night_1(store, nights)
    assert night.name == name
    assert night.text(FIRST[0].doc_id) == LONG
    assert night.summaries(FIRST[0].doc_id).tobytes() == vectors_of(LONG, 3).tobytes()
    assert [entry["adapter_id"][-1] for entry in registry_entries(store, "a")] == ["1", "2", "1"]  # history is added to
    assert [row["uri"] for row in rows(store, "quarantine")] == ["file:///corpus/bad.txt"]
    assert len(rows(store, "ledger", "entry = 'shard'")) == 2
    assert open_night(store.root, "night-2").text(FIRST[0].doc_id) == "all new"

    versions = {table: store.dataset(table).version for table in (*CONTENT_TABLES, "ledger")}
    assert rollback(store, "night-1") == name  # is so already
    assert {table: store.dataset(table).version for table in versions} == versions
    ingest(store, shard("p3", 0, [document("a/1.txt", "newer", etag="e3")], known=[FIRST[0]]), run_id="night-3")
    publish(store, "night-3", b"{}")
    assert open_night(store.root).text(FIRST[0].doc_id) == "newer"


def registry_entries(store, group):
    import json

    return [json.loads(store.objects.get(item.key)) for item in store.objects.list(f"registry/{group}/")]


class TestInAFolder:
    """What does not depend on where the tables lie."""

    @pytest.fixture
    def store_uri(self, tmp_path):
        return str(tmp_path / "store")

    @pytest.mark.parametrize("again", ["by the next ingest", pytest.param("by repeating it", marks=pytest.mark.real)])
    @pytest.mark.parametrize(
        "killed_at",
        [pytest.param(0, marks=pytest.mark.real), 1, pytest.param(2, marks=pytest.mark.real), "activate", "publish_successor", "note"],
    )
    def test_killed_on_the_way_it_is_finished(self, store, nights, monkeypatch, killed_at, again):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            kill(patch, store, killed_at)
            rollback(store, "night-1")
        assert open_night(store.root).name == "night-2" or killed_at == "note"
        if again == "by repeating it":
            rollback(store, "night-1")
        else:
            with lease(store) as held:
                finish_rollback(store, held)
        is_as_on_night_1(store, nights)
        with lease(store) as held:
            assert finish_rollback(store, held) is None

    def test_another_rollback_takes_the_place_of_an_interrupted_one(self, store, nights, monkeypatch):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            kill(patch, store, 1)
            rollback(store, "night-1")
        rollback(store, "night-2")
        assert open_night(store.root).text(FIRST[0].doc_id) == "all new"
        for table in CONTENT_TABLES:
            assert store.dataset(table).to_table() == open_night(store.root, "night-2").table(table).to_table()

    def test_what_was_forgotten_since_stays_forgotten(self, store, nights):
        forget_and_finish(store, [preview(store, "a/2.txt")])
        rollback(store, "night-1")
        night = open_night(store.root)
        assert [row.title for row in night.documents()] == ["a/1.txt", "b/3.txt"]
        assert night.text(FIRST[0].doc_id) == LONG
        for table in CONTENT_TABLES:
            assert store.dataset(table).count_rows(f"doc_id = '{FIRST[1].doc_id}'") == 0

    def test_it_waits_for_an_unfinished_plan(self, store, nights):
        begin_plan(store, "p9", "run-9", 1)
        with pytest.raises(CommitError, match=r"plan p9 of run run-9 is unfinished; run the ingest again, .* then roll back"):
            rollback(store, "night-1")
        assert store.objects.stat(NOTE) is None

    def test_it_waits_for_an_unfinished_switch_of_encoders(self, store, nights):
        store.objects.put(MARKER, b"{}")
        with pytest.raises(CommitError, match="groups are half switched to another encoder; run the ingest again"):
            rollback(store, "night-1")
        with pytest.raises(CommitError, match=r"groups are half switched .* then forget"):
            forget_and_finish(store, [preview(store, "a/2.txt")])

    def test_nights_that_cannot_be_opened_are_refused(self, store, nights):
        with pytest.raises(StorageError, match="no night 'night-9'"):
            rollback(store, "night-9")
        store.dataset("passages").tags.delete("night-1")
        with pytest.raises(StorageError, match=r"night .night-1. .* was cleaned up"):
            rollback(store, "night-1")
        assert open_night(store.root).name == "night-2"


def kill(patch, store, point):
    """End the process, as it were, before the given call of a restore, or before another step."""
    calls = []
    original = module._restore

    def restore(*args):
        calls.append(args)
        if len(calls) > point:
            raise KeyboardInterrupt
        original(*args)

    def die(*_, **__):
        raise KeyboardInterrupt

    if point == "note":
        patch.setattr(type(store.objects), "delete", die)
    elif isinstance(point, int):
        patch.setattr(module, "_restore", restore)
    else:
        patch.setattr(module, point, die)
