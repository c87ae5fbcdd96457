"""Keeping out a committer that lost its lease, although it may not know yet and its requests may still be on their way.

Whoever takes over from a holder that did not release the lease *fences* every table: it restores the table to its newest version.
Nothing changes in it, but Lance refuses every append, update, and delete that was begun on a version before a restore. A committer
opens a table first and looks at its lease then (`open_to_write`). Was the lease lost before it looked, it stops; is it lost after,
the fence lies behind the version it opened and its write is refused, or the write came before the fence and the new holder, who
reads what is committed only after fencing, sees it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import lance

from lloco_core.store.lease import CommitLease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.store.tables import Store

WRITTEN_TABLES = ("segments", "passages", "documents", "quarantine", "ledger", "adapters")


@contextmanager
def commit_lease(store: Store, run_id: str, seconds: float, wait_seconds: float = 0) -> Iterator[CommitLease]:
    """Hold the commit lease of a store; a predecessor that did not release it is fenced off. A new store may begin with it."""
    store.make_root()
    lease = CommitLease(store.objects, run_id, seconds, wait_seconds)
    with lease:
        if lease.took_over:
            with lease.not_released():  # else the next holder would take the old one's writes for ended
                fence(store)
        try:
            yield lease
        except Exception:
            raise
        except BaseException:  # an interrupt does not wait for the write that it met, which may still be on its way
            with lease.not_released():
                fence(store)
            raise


def fence(store: Store) -> None:
    """Make every write fail that was begun before now."""
    for name in WRITTEN_TABLES:
        if store.exists(name):
            _fence_table(store, name)


def open_to_write(store: Store, lease: CommitLease, table: str) -> lance.LanceDataset:
    """Open a table for one write under the lease.

    Raises:
        CommitError: the lease was lost.
    """
    dataset = store.dataset(table)
    lease.check()
    return dataset


def _fence_table(store: Store, name: str) -> None:
    newest = store.dataset(name).version
    store.dataset(name, newest).restore()
    while (fenced := store.dataset(name).version) != newest + 1:  # a write came in between and was undone: bring it back
        newest = fenced
        store.dataset(name, newest - 1).restore()
