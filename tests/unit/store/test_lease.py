"""One committer at a time: who gets the lease, who has to wait, and who has lost it."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from lloco_core.errors import CommitError
from lloco_core.store.commit import Committer, begin_plan
from lloco_core.store.lease import CommitLease
from tests.unit.store.fixtures import PLACES, document, lease, place, rows, shard, write


@pytest.fixture(params=PLACES)
def store_uri(request, tmp_path, monkeypatch):
    yield from place(request, tmp_path, monkeypatch)


SECONDS = 0.4
PREFIX = "_leases/commit/"


def leave_lease(store, **holder):
    """A lease that somebody holds, or held when the process died."""
    state = {"run_id": "run-old", "host": socket.gethostname(), "pid": os.getpid(), "beat": "b1", "released": False, "seconds": SECONDS}
    state["started"] = psutil.Process().create_time()
    store.objects.create(f"{PREFIX}0000000001.json", json.dumps({**state, **holder}).encode())


def test_a_second_holder_is_refused_while_the_first_lives(store):
    with lease(store, "run-1", SECONDS), pytest.raises(CommitError) as caught, lease(store, "run-2", SECONDS):
        pytest.fail("two runs hold the lease")
    for part in (store.root, "run run-1", f"host {socket.gethostname()}", f"pid {os.getpid()}", "wait for it to end"):
        assert part in str(caught.value)


def test_it_can_be_had_again_after_release(store):
    with lease(store, "run-1", 60) as first:
        assert first.epoch == 1
    started = time.monotonic()
    with lease(store, "run-2", 60) as second:
        assert second.epoch == 2
    assert time.monotonic() - started < 5  # no waiting for 60 seconds


def test_a_living_holder_is_waited_for_as_long_as_asked(store):
    ended = threading.Event()
    with lease(store, "run-1", SECONDS) as first:
        end = threading.Timer(3 * SECONDS, lambda: (ended.set(), first.__exit__()))  # several heartbeats later
        end.start()
        with CommitLease(store.objects, "run-2", SECONDS, wait_seconds=60) as second:
            assert ended.is_set()
            assert second.epoch == 2
        end.join()


def test_a_holder_that_outlives_the_wait_is_named(store):
    with lease(store, "run-1", SECONDS), pytest.raises(CommitError, match=r"run run-1 .*or raise store\.lease_wait_seconds"):
        CommitLease(store.objects, "run-2", SECONDS, wait_seconds=SECONDS).__enter__()


def test_it_is_released_when_the_run_fails(store):
    with pytest.raises(RuntimeError, match="boom"), lease(store, "run-1", 60):
        raise RuntimeError("boom")
    with lease(store, "run-2", 60) as second:
        assert second.epoch == 2


def test_a_dead_process_of_this_host_is_followed_at_once(store):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    leave_lease(store, pid=process.pid, started=psutil.Process(process.pid).create_time(), seconds=60)
    process.kill()
    # not waited for: the process is a zombie, as it stays below a parent that does not reap
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    started = time.monotonic()
    with lease(store, "run-2", 60) as held:
        assert held.epoch == 2
    process.wait()
    with lease(store, "run-3", 60) as held:
        assert held.epoch == 3
    assert time.monotonic() - started < 5


def test_a_process_id_that_another_process_got_is_dead(store):
    leave_lease(store, started=psutil.Process().create_time() - 3600, seconds=60)
    with lease(store, "run-2", 60) as held:
        assert held.epoch == 2


def test_a_holder_whose_start_seems_to_move_with_the_clock_lives(store):
    leave_lease(store, started=psutil.Process().create_time() - 1, seconds=0.2)
    started = time.monotonic()
    with lease(store, "run-2", 0.2):
        assert time.monotonic() - started >= 0.2  # watched for silence, not taken at once


def test_a_silent_holder_of_another_host_is_followed_after_its_seconds(store):
    leave_lease(store, host="elsewhere", pid=1)
    started = time.monotonic()
    with lease(store, "run-2", SECONDS) as held:
        assert SECONDS <= time.monotonic() - started < SECONDS + 3
        assert held.epoch == 2


def test_a_holder_with_a_slower_heartbeat_is_given_its_own_time(store):
    leave_lease(store, host="elsewhere", pid=1, seconds=1.0)
    started = time.monotonic()
    with lease(store, "run-2", 0.1):
        assert time.monotonic() - started >= 1.0


def test_who_lost_the_lease_must_not_commit(store):
    records = [write(store, shard("p1", 0, [document("a.txt", "text")]))]
    with lease(store, "run-1", 60) as lost:
        committer = Committer(store, lost, begin_plan(store, "p1", "run-1", 1))
        store.objects.create(f"{PREFIX}0000000002.json", b"{}")
        with pytest.raises(CommitError, match=r"lease 1 was taken over by epoch 2.*without committing"):
            committer.commit(records)
    assert rows(store, "documents") == rows(store, "segments") == rows(store, "ledger") == []


def test_of_many_contenders_exactly_one_wins(store):
    held, refused = [], []
    ready, done = threading.Barrier(4), threading.Event()

    def contend(number):
        ready.wait()
        try:
            with lease(store, f"run-{number}", SECONDS) as mine:
                held.append(mine.epoch)
                done.wait(20)
        except CommitError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(held) + len(refused) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    done.set()
    for thread in threads:
        thread.join()
    assert held == [1]
    assert len(refused) == 3


def test_contenders_for_a_dead_holders_lease_do_not_both_win(store):
    leave_lease(store, pid=2**22 + 1)
    holders, patience = [], 10 * SECONDS  # so long that the winner's heartbeat gets through on a busy machine

    def contend(number):
        try:
            with lease(store, f"run-{number}", patience) as mine:
                mine.check()
                holders.append(mine.epoch)
                time.sleep(patience)
                mine.check()
        except CommitError:
            pass

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert holders == [2]


def test_a_heartbeat_keeps_the_lease(store):
    with lease(store, "run-1", SECONDS) as held:
        beats = set()
        deadline = time.monotonic() + 10
        while len(beats) < 3 and time.monotonic() < deadline:
            beats.add(json.loads(store.objects.get(f"{PREFIX}0000000001.json"))["beat"])
            time.sleep(0.02)
        held.check()
    assert len(beats) == 3
