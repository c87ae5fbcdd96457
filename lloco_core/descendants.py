"""The processes that this process and its children started."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

_SET_SUBREAPER, _GET_SUBREAPER = 36, 37
"""Of prctl(2)."""


def descendants() -> set[psutil.Process]:
    """Every process below this one that has not ended."""
    return {process for process in psutil.Process().children(recursive=True) if _runs(process)}


def kill_descendants(but: set[psutil.Process] | frozenset[psutil.Process] = frozenset(), seconds: float = 2.0) -> None:
    """Kill the processes below this one except `but`, those that they start meanwhile, too; wait up to `seconds` for their end."""
    doomed: set[psutil.Process] = set()
    give_up_at = time.monotonic() + seconds
    while True:
        doomed |= descendants() - but  # once its parent is gone, a process is below this one no longer
        running = [process for process in doomed if _runs(process)]
        if not running or time.monotonic() > give_up_at:
            return
        for process in running:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(0.02)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Inside, a process below this one whose parent ends becomes its child, so that it is still found (on Linux)."""
    if sys.platform != "linux":
        yield
        return
    prctl, before = ctypes.CDLL(None).prctl, ctypes.c_int()
    prctl(_GET_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_SET_SUBREAPER, before.value, 0, 0, 0)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE  # a killed one that nobody waits for has ended
    except psutil.Error:
        return False
