"""A night's adapters: those that read its vectors, as they were when the night was opened."""

import json

import pytest

from lloco_core.registry.active import activate, active_adapter
from lloco_core.store import nights
from lloco_core.store.nights import publish_adapters, publish_night, published_nights
from lloco_core.store.read import open_night
from lloco_core.store.status import store_status
from tests.unit.store.fixtures import ENCODER, document, ingest, rows, shard


def put_adapter(store, group, number, encoder=ENCODER, documents=()):
    """An adapter's manifest, and its activation: what registering leaves before the record."""
    adapter_id = f"{group}--{number:012d}"
    manifest = {"group": group, "encoder_fingerprint": encoder, "documents": dict.fromkeys(documents, "v")}
    store.objects.create(f"adapters/{adapter_id}/manifest.json", json.dumps(manifest).encode())
    activate(store.objects, group, adapter_id)
    return adapter_id


@pytest.fixture
def store_uri(tmp_path):
    """A folder only: nothing here depends on where the tables lie."""
    return str(tmp_path / "store")


@pytest.fixture
def corpus(store):
    """One document in group `a`, one in `b`."""
    documents = [document("a/1.txt", "one two"), document("b/2.txt", "three", group="b")]
    ingest(store, shard("p1", 0, documents))
    return documents


def test_a_night_keeps_the_adapters_it_was_published_with(store, corpus):
    first = put_adapter(store, "a", 1)
    publish_night(store, "run-1")
    opened = open_night(store.root)
    second, other = put_adapter(store, "a", 2), put_adapter(store, "b", 1)
    for night in (opened, open_night(store.root), open_night(store.root, "run-1")):
        assert (night.adapters, night.adapter("a"), night.adapter("b")) == ({"a": first}, first, None)

    assert publish_adapters(store) == "run-1"
    assert open_night(store.root).adapters == open_night(store.root, "run-1").adapters == {"a": second, "b": other}
    assert opened.adapter("a") == first  # what a reader opened stays as it was
    assert open_night(store.root).versions == opened.versions
    assert [row["night"] for row in store_status(store.root).nights] == ["run-1"]


def test_publishing_the_same_adapters_again_writes_nothing(store, corpus):
    put_adapter(store, "a", 1)
    publish_night(store, "run-1")
    version = store.dataset("ledger").version
    assert publish_adapters(store) == "run-1"
    assert publish_night(store, "run-2") == "run-1"
    assert store.dataset("ledger").version == version
    put_adapter(store, "a", 2)
    assert publish_night(store, "run-2") == "run-1"  # an ingest without changes also brings the adapters
    assert len(rows(store, "ledger", "entry = 'night'")) == 2
    assert open_night(store.root).adapter("a") == "a--000000000002"


def test_an_adapter_of_another_encoder_is_no_part_of_a_night(store, corpus):
    put_adapter(store, "a", 1, encoder="encoder-0")
    publish_night(store, "run-1")
    assert open_night(store.root).adapter("a") is None
    fitting = put_adapter(store, "a", 2)
    publish_adapters(store)
    changed = document("a/1.txt", "all new", etag="e2")
    ingest(store, shard("p2", 0, [changed], known=[corpus[0]]), run_id="run-2", encoder="encoder-2")
    publish_night(store, "run-2")
    assert open_night(store.root).adapter("a") is None
    assert open_night(store.root, "run-1").adapter("a") == fitting
    ingest(store, shard("p3", 0, [document("a/9.txt", "still the old encoder")]), run_id="run-3")
    publish_night(store, "run-3")  # a group of two encoders has no adapter that reads all of it
    assert open_night(store.root).adapter("a") is None


def test_new_adapters_do_not_make_an_old_night_the_newest(store, corpus, monkeypatch):
    """Registering is not under the commit lease: its row may come after that of a night published meanwhile."""
    publish_night(store, "run-1")
    [stale] = published_nights(store)
    ingest(store, shard("p2", 0, [document("b/3.txt", "more", group="b")]), run_id="run-2")
    publish_night(store, "run-2")
    adapter = put_adapter(store, "a", 1)
    with monkeypatch.context() as patch:
        patch.setattr(nights, "latest_night", lambda _: stale)  # read before run-2 was published
        publish_adapters(store)
    assert [row["run_id"] for row in published_nights(store)] == ["run-1", "run-2"]
    assert open_night(store.root).name == "run-2"
    assert open_night(store.root).groups() == {"a": 1, "b": 2}
    assert open_night(store.root, "run-1").adapter("a") == adapter


def test_killed_before_the_row_the_night_keeps_its_adapters(store, corpus, monkeypatch):
    first = put_adapter(store, "a", 1)
    publish_night(store, "run-1")
    second = put_adapter(store, "a", 2)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(nights.lance, "write_dataset", killed)
        publish_adapters(store)
    assert (open_night(store.root).adapter("a"), active_adapter(store.objects, "a").adapter_id) == (first, second)
    publish_adapters(store)
    assert open_night(store.root).adapter("a") == second


def test_a_night_without_recorded_adapters_has_the_active_ones_that_fit(store, corpus):
    store.dataset("ledger").drop_columns(["adapters"])  # a store of an earlier release
    adapter = put_adapter(store, "a", 1)
    put_adapter(store, "b", 1, encoder="encoder-0")
    publish_night(store, "run-1")
    assert open_night(store.root).adapters == {"a": adapter}
    newer = put_adapter(store, "a", 2)
    version = store.dataset("ledger").version
    publish_adapters(store)
    assert store.dataset("ledger").version == version
    assert open_night(store.root).adapters == {"a": newer}
