"""Processes forked from a warm parent: they start at once, as everything is imported.

The parent imports Lance but never uses it: its threads, which no fork survives, start with its first use.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import fsspec.utils  # noqa: F401 - what an ingest would import late

from lloco_core.distributed import ingest  # noqa: F401
from lloco_core.store import commit, index, nights, write  # noqa: F401

warnings.filterwarnings("ignore", message="lance is not fork-safe")


def fork(work: Callable[..., Any], *arguments: Any) -> int:
    """Do something in a process of its own; returns its id. It ends with status 0, or 1 with its error on stderr."""
    child = os.fork()
    if child:
        return child
    try:
        work(*arguments)
    except BaseException:  # noqa: BLE001 - a forked process must never get into the parent's code
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def complete(*children: int) -> None:
    """Wait for processes, which must succeed."""
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise SystemExit("a process failed, see above")
