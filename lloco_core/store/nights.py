"""Publishing a night: ledger rows that name table versions and adapters which belong together, protected by Lance tags.

A night is published with its first row. When its adapters change, a further row of the same name and the same versions is
appended; the newest row of a name counts. A reader finds either the old adapters or the new ones, never half of them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import lance
import pyarrow as pa

from lloco_core.errors import StorageError
from lloco_core.registry.fitting import fitting_adapters
from lloco_core.store.fencing import open_to_write
from lloco_core.store.runs import copy_config, drop_config
from lloco_core.store.tables import CONTENT_TABLES

if TYPE_CHECKING:
    from lloco_core.store.lease import CommitLease
    from lloco_core.store.tables import Store


def publish_night(store: Store, run_id: str, lease: CommitLease | None = None, adapters: dict[str, str] | None = None) -> str:
    """Record and tag the current versions as one night, unless the newest night is the same. Returns its name.

    The adapters (group -> adapter id) are the active ones that fit the documents where none are given. The tags come first: a
    recorded night's versions are never cleaned up.
    """
    versions = {name: store.dataset(name).version for name in CONTENT_TABLES}
    newest = latest_night(store)
    if newest and night_versions(newest) == versions:
        night = newest["run_id"]
    else:
        night, newest = _free_name(store, run_id), None
        for name, version in versions.items():
            _tag(store, name, night, version)
    if adapters is None:
        adapters = fitting_adapters(store, store.dataset("documents", versions["documents"]))
    _record(store, night, versions, adapters, newest, lease)
    return night


def publish_successor(store: Store, lease: CommitLease, name: str, like: str, adapters: dict[str, str] | None = None) -> str:
    """Publish a night that no ingest made, with the configuration of another one. Returns the name of what is the newest night then."""
    name = _free_name(store, name)
    copy_config(store.objects, like, name)
    published = publish_night(store, name, lease, adapters)
    if published != name:
        drop_config(store.objects, name)
    return published


def publish_adapters(store: Store) -> str | None:
    """Give the newest night the adapters that are active now, where they fit its documents. Returns its name; None where there is none."""
    newest = latest_night(store)
    if newest is None:
        return None
    versions = night_versions(newest)
    _record(store, newest["run_id"], versions, fitting_adapters(store, store.dataset("documents", versions["documents"])), newest)
    return newest["run_id"]


def night_versions(row: dict[str, Any]) -> dict[str, int]:
    """The table versions of a night's ledger row."""
    return {name: row[f"{name}_version"] for name in CONTENT_TABLES}


def night_adapters(row: dict[str, Any]) -> dict[str, str] | None:
    """Group -> adapter id of a night's ledger row; None in nights of earlier releases, which did not record them."""
    return json.loads(row["adapters"]) if row.get("adapters") else None


def published_nights(store: Store) -> list[dict[str, Any]]:
    """The newest ledger row of every night, oldest night first."""
    if not store.exists("ledger"):
        return []
    rows = store.dataset("ledger").to_table(filter="entry = 'night'").to_pylist()
    newest = {row["run_id"]: row for row in sorted(rows, key=lambda row: row["committed_at"])}
    # by versions, not by time: they only grow, and a night that gets new adapters does not become a newer night
    return sorted(newest.values(), key=lambda row: (*night_versions(row).values(), row["committed_at"]))


def nights_that_open(store: Store) -> list[dict[str, Any]]:
    """The ledger rows of the nights whose versions are tagged, oldest first; the others are history."""
    nights = published_nights(store)
    tagged = [set(store.dataset(table).tags.list()) for table in CONTENT_TABLES] if nights else []
    return [row for row in nights if all(row["run_id"] in names for names in tagged)]


def latest_night(store: Store, name: str | None = None) -> dict[str, Any] | None:
    """The newest night's ledger row, or the one with the given name; None when there is none."""
    nights = published_nights(store)
    if name is not None:
        nights = [row for row in nights if row["run_id"] == name]
        if not nights:
            raise StorageError(f"{store.root} has no night {name!r}; `lloco status` lists them")
    return nights[-1] if nights else None


def _free_name(store: Store, run_id: str) -> str:
    """The run's own name, or `<run>-2` and so on for a run that was repeated after it had published."""
    taken = {row["run_id"] for row in published_nights(store)}
    names = chain([run_id], (f"{run_id}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def _tag(store: Store, table: str, night: str, version: int) -> None:
    tags = store.dataset(table).tags
    if night in tags.list():
        tags.update(night, version)  # left by a crash before the row was written
    else:
        tags.create(night, version)


def _record(
    store: Store,
    night: str,
    versions: dict[str, int],
    adapters: dict[str, str],
    known: dict[str, Any] | None,
    lease: CommitLease | None = None,
) -> None:
    """Append a night's ledger row, unless the known row says the same already."""
    ledger = open_to_write(store, lease, "ledger") if lease else store.dataset("ledger")
    if known and ("adapters" not in ledger.schema.names or night_adapters(known) == adapters):
        return
    row = {"entry": "night", "run_id": night, "committed_at": datetime.now(UTC), "adapters": json.dumps(adapters, sort_keys=True)}
    row |= {f"{name}_version": version for name, version in versions.items()}
    rows = pa.Table.from_pylist([row], schema=ledger.schema)  # its own: a table of an earlier release has fewer columns
    lance.write_dataset(rows, ledger, mode="append", storage_options=store.storage_options)
