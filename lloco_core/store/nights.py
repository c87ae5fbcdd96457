"""Publishing a night: one ledger row that names a consistent set of table versions, protected by Lance tags."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, count
from typing import TYPE_CHECKING

import lance
import pyarrow as pa

from lloco_core.errors import StorageError
from lloco_core.store import schema
from lloco_core.store.fencing import open_to_write
from lloco_core.store.tables import CONTENT_TABLES

if TYPE_CHECKING:
    from lloco_core.store.lease import CommitLease
    from lloco_core.store.tables import Store


def publish_night(store: Store, run_id: str, lease: CommitLease | None = None) -> str:
    """Record and tag the current versions as one night, unless the newest night has them already. Returns its name.

    The tags come first: a recorded night's versions are never cleaned up.
    """
    versions = {name: store.dataset(name).version for name in CONTENT_TABLES}
    newest = latest_night(store)
    if newest and all(newest[f"{name}_version"] == version for name, version in versions.items()):
        return newest["run_id"]
    night = _free_name(store, run_id)
    for name, version in versions.items():
        tags = store.dataset(name).tags
        if night in tags.list():
            tags.update(night, version)  # left by a crash before the row was written
        else:
            tags.create(night, version)
    row = {"entry": "night", "run_id": night, "committed_at": datetime.now(UTC)}
    row |= {f"{name}_version": version for name, version in versions.items()}
    ledger = open_to_write(store, lease, "ledger") if lease else store.dataset("ledger")
    lance.write_dataset(pa.Table.from_pylist([row], schema=schema.LEDGER), ledger, mode="append", storage_options=store.storage_options)
    return night


def _free_name(store: Store, run_id: str) -> str:
    """The run's own name, or `<run>-2` and so on for a run that was repeated after it had published."""
    taken = set(store.dataset("ledger").to_table(columns=["run_id"], filter="entry = 'night'")["run_id"].to_pylist())
    names = chain([run_id], (f"{run_id}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def latest_night(store: Store, name: str | None = None) -> dict | None:
    """The newest night's ledger row, or the one with the given name; None when there is none."""
    if not store.exists("ledger"):
        return None
    rows = store.dataset("ledger").to_table(filter="entry = 'night'").to_pylist()
    if name is not None:
        rows = [row for row in rows if row["run_id"] == name]
        if not rows:
            raise StorageError(f"{store.root} has no night {name!r}; `lloco status` lists them")
    return max(rows, key=lambda row: row["committed_at"], default=None)
