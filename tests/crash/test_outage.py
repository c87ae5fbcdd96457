"""Outages of a real object store: Ceph is killed (SIGKILL) under a running ingest, and comes back on its old data.

The second night is the one that is hit, so there is something to replace, to retire, and to resolve.
"""

import threading
import time
from contextlib import contextmanager

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

OUTAGE_SECONDS = 30
LONG_OUTAGE_SECONDS = 60

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture
def bucket(ceph, monkeypatch):
    """A bucket on Ceph, named in the environment as in production; Ceph runs again afterwards."""
    reach(ceph.endpoint, monkeypatch)
    yield f"s3://{BUCKET}"
    settings.cache_clear()
    ceph.start()


class Outage:
    """Kills once, and starts Ceph again after `seconds`."""

    def __init__(self, ceph, kill, seconds=OUTAGE_SECONDS):
        self.ceph, self.kill, self.seconds = ceph, kill, seconds
        self.error = None
        self._restarter = threading.Thread(target=self._restart, daemon=True)

    def begin(self):
        self.kill()
        self._restarter.start()

    def _restart(self):
        time.sleep(self.seconds)
        try:
            self.ceph.start()
        except (RuntimeError, TimeoutError) as error:
            self.error = error

    def over(self):
        """Wait for the end; False when it never began."""
        if self._restarter.ident is None:
            return False
        self._restarter.join()
        assert self.error is None
        return True


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


MOMENTS = {
    "the gateway, before a record is written": ("kill_gateway", lambda patch, act: before(patch, write, "save_record", 2, act)),
    "everything, inside a commit": ("kill", lambda patch, act: before(patch, Committer, "_append", 6, act)),
    "the gateway, while vectors are written": ("kill_gateway", lambda patch, act: before(patch, write, "write_fragments", 4, soon(act))),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_ingest_goes_on_by_itself(ceph, bucket, tmp_path, monkeypatch, moment):
    corpus, name = tmp_path / "corpus", f"outage-{list(MOMENTS).index(moment)}"
    disturbed, undisturbed = f"{bucket}/{name}", str(tmp_path / "undisturbed")
    write_corpus(corpus)
    for store in (disturbed, undisturbed):
        loop.ingest(corpus, store, "night-1")
    change_corpus(corpus)
    loop.ingest(corpus, undisturbed, "night-2")

    kill, arm = MOMENTS[moment]
    outage = Outage(ceph, getattr(ceph, kill))
    started = time.monotonic()
    with arm(monkeypatch, outage.begin):
        result = loop.ingest(corpus, disturbed, "night-2")
    lasted = time.monotonic() - started

    assert outage.over()
    assert lasted >= OUTAGE_SECONDS  # the run was in the middle of it; no machine is too slow for this bound
    assert picture(disturbed) == picture(undisturbed)
    assert open_night(disturbed).name == result["night"] == "night-2"
    shards = [row["shard_id"] for row in ledger(disturbed) if row["entry"] == "shard"]
    assert len(shards) == len(set(shards)) == len([row for row in ledger(undisturbed) if row["entry"] == "shard"])
    assert open_plans(Store(disturbed).objects) == []


def test_every_client_waits_out_a_minute(ceph, bucket, monkeypatch):
    """Lance, boto3, and pyarrow (checkpoints of Ray Train), each in the middle of its work."""
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # as `ray_session` does
    options, uri, objects = lance_storage_options(), f"{bucket}/minute.lance", open_objects(f"{bucket}/minute")
    table = lance.write_dataset(pa.table({"id": [1]}), uri, storage_options=options)
    filesystem, folder = training_storage(f"{bucket}/minute")
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
    outage = Outage(ceph, ceph.kill_gateway, LONG_OUTAGE_SECONDS)
    outage.begin()
    threads = [threading.Thread(target=lambda name=name: done.update({name: work[name]()})) for name in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outage.over()
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
