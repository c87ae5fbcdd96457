"""The lease that keeps a second committer out, built on create-only objects alone. Maintenance has one of its own.

Holders are numbered: `_leases/<name>/<epoch>.json` is created by exactly one process, and the highest epoch holds the
lease. The holder rewrites its own object as a heartbeat. A contender takes over by creating the next epoch once the
holder released it, is a dead process of this host, or was silent for `seconds` on the contender's own clock (no two clocks
are compared). A holder that finds a higher epoch has lost the lease and must not commit any more.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil

from lloco_core.errors import CommitError, LeaseLost, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.objects import Objects

logger = logging.getLogger(__name__)

START_TOLERANCE = 5.0
"""Seconds by which the start of one process may seem to differ: Linux derives it from a boot time that moves with the clock."""


class CommitLease:
    """Context manager that holds a lease of a store, by default the commit lease, and renews it in a background thread.

    A living holder is waited for `wait_seconds` before its store is refused.
    """

    def __init__(self, objects: Objects, run_id: str, seconds: float, wait_seconds: float = 0, name: str = "commit") -> None:
        self.objects = objects
        self.seconds = seconds
        self.wait_seconds = wait_seconds
        self.name = name
        self.epoch = 0
        self._is_clean = True
        self.took_over = False
        """The holder before did not release it: requests of it may still be on their way."""
        self._identity = {
            "run_id": run_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _process_start(os.getpid()),
            "seconds": seconds,
        }
        self._stop = threading.Event()
        self._renewer = threading.Thread(target=self._renew_until_stopped, name="lloco-lease", daemon=True)

    def __enter__(self) -> CommitLease:
        self._acquire()
        self._renewer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._renewer.join()
        if self._is_clean:
            self.objects.put(self._key(self.epoch), self._state(released=True))

    @contextmanager
    def not_released(self) -> Iterator[None]:
        """A step without which the lease must not look released: if it fails, the next holder has to take the lease over."""
        self._is_clean = False
        yield
        self._is_clean = True

    def check(self) -> None:
        """Refuse to go on when another process took the lease over.

        Raises:
            LeaseLost: a higher epoch exists.
        """
        newest = self._newest_epoch()
        if newest != self.epoch:
            raise LeaseLost(
                f"{self.objects.root}: the {self.name} lease {self.epoch} was taken over by epoch {newest}; "
                "this run stops without committing, the other one carries on"
            )

    def _acquire(self) -> None:
        refuse_at = time.monotonic() + self.wait_seconds
        while True:
            epoch = self._newest_epoch()
            if epoch and not self._is_free(epoch):
                self._watch_until_silent(epoch, refuse_at)
            key, state = self._key(epoch + 1), self._state()
            if self.objects.create(key, state) or self.objects.get(key) == state:  # a repeated PUT finds its own first attempt
                self.epoch = epoch + 1
                self.took_over = epoch > 0 and not self._read(epoch).get("released")
                return

    def _is_free(self, epoch: int) -> bool:
        holder = self._read(epoch)
        if holder.get("released"):
            return True
        same_host = holder.get("host") == self._identity["host"]
        return same_host and not _is_alive(holder["pid"], holder["started"])

    def _watch_until_silent(self, epoch: int, refuse_at: float) -> None:
        first = self._read(epoch)
        seconds = max(self.seconds, first["seconds"])  # its heartbeat follows its own setting
        logger.info("waiting up to %.0f s for run %s on %s to give up the %s lease", seconds, first["run_id"], first["host"], self.name)
        beat, deadline = first["beat"], time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(min(1.0, seconds / 10))
            if self._newest_epoch() != epoch or self._is_free(epoch):
                return
            if self._read(epoch)["beat"] != beat:
                beat, deadline = self._read(epoch)["beat"], time.monotonic() + seconds
                if time.monotonic() < refuse_at:
                    continue
                raise CommitError(
                    f"{self.objects.root} is being written by run {first['run_id']} (host {first['host']}, pid {first['pid']}); "
                    "wait for it to end, then run again, or raise store.lease_wait_seconds"
                )

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self.seconds / 4):
            try:
                self.objects.put(self._key(self.epoch), self._state())
            except StorageError as error:  # the next beat may get through; check() guards every commit
                logger.warning("the %s lease could not be renewed: %s", self.name, error)

    def _newest_epoch(self) -> int:
        return max((int(item.key.rpartition("/")[2].removesuffix(".json")) for item in self.objects.list(self._prefix)), default=0)

    def _read(self, epoch: int) -> dict[str, Any]:
        return json.loads(self.objects.get(self._key(epoch)))

    def _state(self, released: bool = False) -> bytes:
        return json.dumps({**self._identity, "beat": uuid.uuid4().hex, "released": released}).encode()

    @property
    def _prefix(self) -> str:
        return f"_leases/{self.name}/"

    def _key(self, epoch: int) -> str:
        return f"{self._prefix}{epoch:010d}.json"


def _is_alive(pid: int, started: float) -> bool:
    """Whether a process of this host runs that started then; a killed one that nobody waited for is dead."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(_process_start(pid) - started) < START_TOLERANCE
    except psutil.NoSuchProcess:
        return False


def _process_start(pid: int) -> float:
    """When a process of this host started: tells a living holder from a reused process id."""
    return psutil.Process(pid).create_time()
