"""Going back to an earlier night: the content tables are restored to its versions, its adapters become active, a new night is published.

What to go back to is noted under `_rollback/open.json` first and the note is removed last, so a rollback that was killed is finished by
the next ingest, before it does anything else, or by repeating it. Quarantine and ledger are history and stay.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import lance

from lloco_core.registry.active import activate
from lloco_core.store.change import LEASE_SECONDS, change_id, refuse_half_done
from lloco_core.store.fencing import commit_lease
from lloco_core.store.forgetting.erase import erase_documents, rebuild_indices
from lloco_core.store.forgetting.forgotten import forgotten_documents
from lloco_core.store.lease import CommitLease
from lloco_core.store.nights import publish_successor, published_nights
from lloco_core.store.read import open_night
from lloco_core.store.tables import CONTENT_TABLES

if TYPE_CHECKING:
    from lloco_core.store.tables import Store

logger = logging.getLogger(__name__)

NOTE = "_rollback/open.json"


def rollback(store: Store, night: str, lease_seconds: float = LEASE_SECONDS) -> str:
    """Make the newest state of a store equal to an earlier night; returns the night that is the newest then.

    Documents that were forgotten since stay forgotten. Where the store is in that state already, nothing changes.

    Raises:
        StorageError: there is no such night, or it was cleaned up.
        CommitError: a plan is open, or another run holds the commit lease.
    """
    name = change_id("rollback")
    with commit_lease(store, name, lease_seconds) as lease:
        refuse_half_done(store, "roll back")
        open_night(store.root, night)
        store.objects.put(NOTE, json.dumps({"night": night, "name": name}).encode())
        return finish_rollback(store, lease) or name


def finish_rollback(store: Store, lease: CommitLease) -> str | None:
    """Do what the note of a rollback says; returns the published night, None where there is no note."""
    if store.objects.stat(NOTE) is None:
        return None
    note = json.loads(store.objects.get(NOTE))
    if note["name"] in {row["run_id"] for row in published_nights(store)}:  # it ended before it could say so; a fence may have come since
        store.objects.delete(NOTE)
        return note["name"]
    night = open_night(store.root, note["night"])
    for table in CONTENT_TABLES:
        lease.check()
        _restore(store, table, night.versions[table])
    _forget_again(store, lease)
    for group, adapter_id in night.adapters.items():
        activate(store.objects, group, adapter_id)
    published = publish_successor(store, lease, note["name"], night.name, night.adapters)
    store.objects.delete(NOTE)
    logger.info("rolled back to night %s, published as %s", night.name, published)
    return published


def _restore(store: Store, table: str, version: int) -> None:
    dataset = store.dataset(table)
    transaction = dataset.read_transaction(dataset.version)
    restored = transaction.operation if transaction else None
    if dataset.version == version or (isinstance(restored, lance.LanceOperation.Restore) and restored.version == version):
        return
    store.dataset(table, version).restore()


def _forget_again(store: Store, lease: CommitLease) -> None:
    """An earlier night may hold documents, or words of documents in its indices, that are to be forgotten."""
    pending = [item.doc_id for item in forgotten_documents(store.objects) if item.finished_at is None]
    if pending:
        erase_documents(store, lease, pending)
        rebuild_indices(store, lease)
