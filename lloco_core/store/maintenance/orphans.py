"""Sweeping data files that no table version and no open plan names: what killed workers and given-up rewrites left.

Young files stay whatever names them: a worker writes its fragments first and its shard record after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lloco_core.store.maintenance.plans import needs_of_plans

if TYPE_CHECKING:
    from datetime import datetime

    from lloco_core.store.maintenance.session import Maintenance
    from lloco_core.store.tables import Store

DATA = "data/"


@dataclass(frozen=True, slots=True)
class Swept:
    """Objects that were deleted, and why they were there."""

    what: str
    n_objects: int = 0
    n_bytes: int = 0


def sweep_orphans(maintenance: Maintenance, table: str, before: datetime) -> Swept:
    """Delete the orphans of a table that were written before a time."""
    needs = needs_of_plans(maintenance.store)  # first: a plan that ends now has committed what is listed below
    orphans = _old_files(maintenance.store, table, before)
    for path in _named_files(maintenance.store, table):
        orphans.pop(path, None)
    for name in needs.files.get(table, ()):
        orphans.pop(DATA + name, None)
    if orphans:
        maintenance.lease.check()
    for path in sorted(orphans):
        maintenance.store.objects.delete(f"{table}.lance/{path}")
    return Swept(f"orphans of {table}", len(orphans), sum(orphans.values()))


def _old_files(store: Store, table: str, before: datetime) -> dict[str, int]:
    return {
        row["path"]: row["size_bytes"]
        for batch in store.dataset(table).all_files()
        for row in batch.to_pylist()
        if row["path"].startswith(DATA) and row["last_modified"] < before
    }


def _named_files(store: Store, table: str) -> set[str]:
    """Paths that any version refers to; the table is opened anew, so that every commit so far counts."""
    return {path for batch in store.dataset(table).tracked_files() for path in batch["path"].to_pylist()}
