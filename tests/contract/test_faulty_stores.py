"""Stores with faults. Negative control: one that ignores `If-None-Match` is refused, and the lost-row test catches it when it is not.

Two writers are brought together at the same version number of a table, so nothing depends on luck. And: answers that get lost after
the work was done, as when a gateway is killed, make nothing happen twice.
"""

import threading
from contextlib import contextmanager

import lance
import pyarrow as pa
import pytest

from lloco_core.distributed import ingest
from lloco_core.doctor import run_checks
from lloco_core.errors import StorageError
from lloco_core.objects import open_objects
from lloco_core.settings import lance_storage_options, settings
from tests.conftest import BUCKET, reach
from tests.crash.drill import configuration
from tests.moto_server import IgnoresConditions, LosesAnswers, MeetingOfTwo, moto_server

TABLE = "two-writers.lance"


@contextmanager
def faulty_server(monkeypatch, layer):
    with moto_server(layer) as url:
        client = reach(url, monkeypatch)
        for item in client.list_objects_v2(Bucket=BUCKET, Prefix="unsafe/").get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=item["Key"])
        yield client
    settings.cache_clear()


@pytest.fixture
def unsafe(monkeypatch):
    """An S3 server that takes every PUT."""
    with faulty_server(monkeypatch, IgnoresConditions) as client:
        yield client


def keys(client):
    return [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET, Prefix="unsafe/").get("Contents", ())]


def test_an_ingest_refuses_it_before_anything_is_written(unsafe, tmp_path):
    config = configuration(tmp_path, f"s3://{BUCKET}/unsafe/store")
    with pytest.raises(StorageError) as refusal, ingest.open_ingest(config, "run-1"):
        pytest.fail("the store was accepted")
    for part in (f"s3://{BUCKET}/unsafe/store", "If-None-Match", "Use a store that honours them", "store.check_conditional_writes"):
        assert part in str(refusal.value)
    assert keys(unsafe) == []


def test_with_the_check_disabled_the_ingest_goes_on(unsafe, tmp_path, monkeypatch):
    def next_step(*_):
        raise InterruptedError

    monkeypatch.setattr(ingest, "resolve_encoder", next_step)  # it would start a cluster
    config = configuration(tmp_path, f"s3://{BUCKET}/unsafe/store", check_conditional_writes=False)
    with pytest.raises(InterruptedError), ingest.open_ingest(config, "run-1"):
        pytest.fail("the next step was not taken")


def test_the_doctor_says_so(unsafe):
    [finding] = [check for check in run_checks(f"s3://{BUCKET}/unsafe/store", "reference") if check.name == "store"]
    assert not finding.ok
    assert "ignores create-only writes" in finding.detail


def rows_of_two_writers():
    """Two appends at once, each told that it succeeded; returns the rows that are there."""
    options, uri = lance_storage_options(), f"s3://{BUCKET}/unsafe/{TABLE}"
    schema = pa.schema([pa.field("id", pa.int64())])
    lance.write_dataset(schema.empty_table(), uri, schema=schema, mode="create", storage_options=options)
    errors = []

    def append(number):
        try:
            lance.write_dataset(pa.table({"id": [number]}), uri, mode="append", storage_options=options)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return sorted(lance.dataset(uri, storage_options=options).to_table()["id"].to_pylist())


def first_appends(app):
    """Bring the two commits of version 2 together; Lance counts the file names of versions down."""
    return MeetingOfTwo(app, f"{TABLE}/_versions/{2**64 - 1 - 2}.manifest")


@pytest.mark.parametrize(
    ("layer", "survivors"),
    [
        pytest.param(first_appends, [[1, 2]], id="moto loses nothing"),
        pytest.param(lambda app: first_appends(IgnoresConditions(app)), [[1], [2]], id="without conditions a row is lost"),
    ],
)
def test_rows_of_two_writers_at_once(monkeypatch, layer, survivors):
    with faulty_server(monkeypatch, layer):
        assert rows_of_two_writers() in survivors


def test_a_create_whose_answer_was_lost_is_ours(monkeypatch):
    lossy = []
    with faulty_server(monkeypatch, lambda app: lossy.append(LosesAnswers(app, "unsafe/objects/k", 1)) or lossy[0]):
        objects = open_objects(f"s3://{BUCKET}/unsafe/objects")
        assert objects.create("k", b"mine") is True
        assert lossy[0].n_lost == 1
        assert objects.create("k", b"mine") is False


def test_an_append_whose_answer_was_lost_is_not_done_twice(monkeypatch):
    """Lance sends the manifest again, is refused, and finds that the one there is its own."""
    lossy = []
    with faulty_server(monkeypatch, lambda app: lossy.append(LosesAnswers(app, "_versions/", 2)) or lossy[0]):
        options, uri = lance_storage_options(), f"s3://{BUCKET}/unsafe/lossy.lance"
        lance.write_dataset(pa.table({"id": [1]}), uri, storage_options=options)
        lance.write_dataset(pa.table({"id": [2]}), uri, mode="append", storage_options=options)
        assert lossy[0].n_lost == 2
        dataset = lance.dataset(uri, storage_options=options)
        assert (dataset.version, sorted(dataset.to_table()["id"].to_pylist())) == (2, [1, 2])
