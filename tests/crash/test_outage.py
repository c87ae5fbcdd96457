"""Outages of a real object store: Ceph is killed (SIGKILL) under a running ingest, and comes back on its old data.

The second night is the one that is hit, so there is something to replace, to retire, and to resolve.
"""

import threading
import time
from contextlib import contextmanager
from functools import partial

import lance
import pyarrow as pa
import pytest

from lloco_core.distributed.ray_train import training_storage
from lloco_core.objects import open_objects
from lloco_core.settings import S3_ENVIRONMENT, lance_storage_options, settings
from lloco_core.store import write
from lloco_core.store.commit import Committer
from lloco_core.store.lease import CommitLease
from lloco_core.store.read import open_night
from lloco_core.store.records import open_plans
from lloco_core.store.tables import Store
from tests.conftest import BUCKET, reach
from tests.crash import loop
from tests.crash.drill import change_corpus, ledger, picture, write_corpus

OUTAGE_SECONDS = 12
"""Without our settings Lance gives up after 3 s, and the others sooner."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def bucket(ceph, monkeypatch):
    """A bucket on Ceph, named in the environment as in production; Ceph runs again afterwards."""
    reach(ceph.endpoint, monkeypatch)
    yield f"s3://{BUCKET}"
    settings.cache_clear()
    ceph.start()


class Outages:
    """Kills something of Ceph, and starts it again after `seconds`; the next outage begins when Ceph is back."""

    def __init__(self, ceph, seconds=OUTAGE_SECONDS):
        self.ceph, self.seconds = ceph, seconds
        self.errors, self._restarters = [], []

    def begin(self, kill):
        self.wait()
        kill()
        self._restarters.append(threading.Thread(target=self._restart, daemon=True))
        self._restarters[-1].start()

    def _restart(self):
        time.sleep(self.seconds)
        try:
            self.ceph.start()
        except (RuntimeError, TimeoutError) as error:
            self.errors.append(error)

    def wait(self):
        """For the end of those that began; how many there were."""
        for restarter in self._restarters:
            restarter.join()
        assert self.errors == []
        return len(self._restarters)


@contextmanager
def before(monkeypatch, owner, name, calls, act):
    """Do something before one call of a function."""
    original, seen = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        seen.append(name)
        if len(seen) == calls:
            act()
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, wrapped)
        yield


def soon(act):
    """Beside what comes next."""
    return lambda: threading.Timer(0.01, act).start()


@pytest.mark.real
def test_an_ingest_goes_on_by_itself(ceph, bucket, tmp_path, monkeypatch):
    """The gateway goes before a record is written and while vectors are written, and everything inside a commit."""
    corpus, disturbed, undisturbed = tmp_path / "corpus", f"{bucket}/outages", str(tmp_path / "undisturbed")
    write_corpus(corpus)
    for store in (disturbed, undisturbed):
        loop.ingest(corpus, store, "night-1")
    change_corpus(corpus)
    loop.ingest(corpus, undisturbed, "night-2")

    outages = Outages(ceph)
    gateway, everything = partial(outages.begin, ceph.kill_gateway), partial(outages.begin, ceph.kill)
    started = time.monotonic()
    with (
        before(monkeypatch, write, "save_record", 2, gateway),
        before(monkeypatch, Committer, "_append", 6, everything),
        before(monkeypatch, write, "write_fragments", 7, soon(gateway)),
    ):
        result = loop.ingest(corpus, disturbed, "night-2")
    lasted = time.monotonic() - started

    assert outages.wait() == 3
    assert lasted >= 3 * OUTAGE_SECONDS  # the run was in the middle of them; no machine is too slow for this bound
    assert picture(disturbed) == picture(undisturbed)
    assert open_night(disturbed).name == result["night"] == "night-2"
    shards = [row["shard_id"] for row in ledger(disturbed) if row["entry"] == "shard"]
    assert len(shards) == len(set(shards)) == len([row for row in ledger(undisturbed) if row["entry"] == "shard"])
    assert open_plans(Store(disturbed).objects) == []


@pytest.mark.parametrize("seconds", [pytest.param(25, marks=pytest.mark.real), pytest.param(80, marks=pytest.mark.long)])
def test_every_client_waits_out_an_outage(ceph, bucket, tmp_path, monkeypatch, seconds):
    """Lance, boto3, and pyarrow (checkpoints of Ray Train), each in the middle of its work."""
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # as `ray_session` does
    place = f"{bucket}/{tmp_path.name}"
    options, uri, objects = lance_storage_options(), f"{place}/t.lance", open_objects(f"{place}/objects")
    table = lance.write_dataset(pa.table({"id": [1]}), uri, storage_options=options)
    filesystem, folder = training_storage(place)
    objects.put("old", b"old")
    done = {}

    def checkpoint():
        with filesystem.open_output_stream(f"{folder}/checkpoint") as file:
            file.write(b"weights")
        return filesystem.get_file_info(f"{folder}/checkpoint").size

    work = {
        "open": lambda: lance.dataset(uri, storage_options=options).version,
        "read": lambda: table.to_table()["id"].to_pylist(),
        "append": lambda: lance.write_dataset(pa.table({"id": [2]}), uri, mode="append", storage_options=options).version,
        "put": lambda: objects.put("new", b"new"),
        "create": lambda: objects.create("created", b"created"),
        "get": lambda: objects.get("old"),
        "list": lambda: [item.key for item in objects.list("old")],
        "checkpoint": checkpoint,
    }
    outages = Outages(ceph, seconds)
    outages.begin(ceph.kill_gateway)
    threads = [threading.Thread(target=lambda name=name: done.update({name: work[name]()})) for name in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outages.wait()
    assert done.pop("open") in (1, 2)
    assert done == {
        "read": [1],
        "append": 2,
        "put": None,
        "create": True,
        "get": b"old",
        "list": ["old"],
        "checkpoint": len(b"weights"),
    }
    assert sorted(lance.dataset(uri, storage_options=options).to_table()["id"].to_pylist()) == [1, 2]


@pytest.mark.real
def test_the_lease_is_renewed_again_after_an_outage_longer_than_the_patience(ceph, bucket, caplog, monkeypatch):
    monkeypatch.setenv("LLOCO_S3_OUTAGE_SECONDS", "0")
    settings.cache_clear()
    objects = open_objects(f"{bucket}/lease")
    with CommitLease(objects, "run-1", seconds=4) as lease:
        ceph.kill_gateway()
        wait_until(lambda: "the commit lease could not be renewed" in caplog.text)
        ceph.start()
        [state] = [item.etag for item in objects.list("_leases/commit/")]
        wait_until(lambda: [item.etag for item in objects.list("_leases/commit/")] != [state])
        lease.check()


def wait_until(happened, seconds=60):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)
