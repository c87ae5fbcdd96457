"""Forgetting documents: out of tables, indices, and objects now, out of old versions after a retention (`store.forgetting.purge`).

Every step is repeated harmlessly, and the record (`store.forgetting.forgotten`) is written first:

| killed | state | the next ingest, maintenance, or `lloco forget --due` |
|---|---|---|
| before the record | nothing happened | does nothing: forget it again |
| before `erased_at` | parts are gone; readers have the last night, which holds it | removes the rest, publishes a night without it |
| before `finished_at` | the newest night is without it, some old versions are gone | removes the other versions once they are due |

All of it happens under the commit lease, and not while a plan is open: what a plan wrote is committed by an ingest only. Callers hold the
maintenance lease as well, as a compaction must not run beside it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lloco_core.store.change import LEASE_SECONDS, change_id, refuse_half_done
from lloco_core.store.fencing import commit_lease
from lloco_core.store.forgetting.erase import erase_documents, erase_quarantined, rebuild_indices
from lloco_core.store.forgetting.forgotten import Forgotten, find_forgotten, forgotten_documents, save_forgotten
from lloco_core.store.forgetting.holdings import find_document, holds_physically, table_rows
from lloco_core.store.forgetting.traces import clear_plans, document_traces, trained_adapters
from lloco_core.store.lease import CommitLease
from lloco_core.store.nights import latest_night, publish_successor
from lloco_core.store.rollback import finish_rollback
from lloco_core.store.tables import CONTENT_TABLES, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

RETENTION_DAYS = 7.0


def preview(store: Store, wanted: str, retention_days: float = RETENTION_DAYS) -> Forgotten:
    """Find a document and everything that holds it; nothing is changed.

    Raises:
        StorageError: no document or more than one matches.
    """
    document = find_document(store, wanted)
    return Forgotten(
        doc_id=document.doc_id,
        uri_hashes=document.uri_hashes,
        groups=document.groups,
        forgotten_at=datetime.now(UTC).isoformat(timespec="seconds"),
        retention_days=retention_days,
        rows=table_rows(store, document),
        adapters=trained_adapters(store.objects, document.doc_id),
        objects=tuple(key for key, _ in document_traces(store.objects, document.doc_id, document.uri_hashes, document.groups)),
    )


def forget(store: Store, documents: Sequence[Forgotten], lease_seconds: float = LEASE_SECONDS) -> list[Forgotten]:
    """Remove documents from everything but old versions, and publish a night without them; returns their records.

    A document that is forgotten already keeps its date; the shorter retention counts.

    Raises:
        CommitError: a plan is open, or another run holds the commit lease.
    """
    run_id = change_id("forget")
    with commit_lease(store, run_id, lease_seconds) as lease:
        refuse_half_done(store, "forget")
        finish_rollback(store, lease)
        items = [save_forgotten(store.objects, _joined(document, find_forgotten(store.objects, document.doc_id))) for document in documents]
        return erase(store, lease, items, run_id)


def erase_interrupted(store: Store, lease: CommitLease) -> None:
    """Finish what a killed run began to erase. No plan may be open."""
    items = [item for item in forgotten_documents(store.objects) if item.erased_at is None]
    if items:
        logger.info("erasing %d forgotten documents that an interrupted run left", len(items))
        erase(store, lease, items, change_id("forget"))


def erase(store: Store, lease: CommitLease, items: Sequence[Forgotten], run_id: str) -> list[Forgotten]:
    """Bring tables, indices, objects, and the newest night to a state without documents; what is so already stays as it is."""
    doc_ids = [item.doc_id for item in items]
    began = any(item.erased_at is None for item in items)
    if began or any(holds_physically(store.dataset(table), doc_ids) for table in CONTENT_TABLES):
        items = [replace(item, clean_night=None) for item in items]
        erase_documents(store, lease, doc_ids)
        rebuild_indices(store, lease)
    erase_quarantined(store, lease, [value for item in items for value in item.uri_hashes])
    newest = latest_night(store)
    night = publish_successor(store, lease, run_id, newest["run_id"]) if newest else None
    clear_plans(store.objects)
    return [_cleared(store, item, night) for item in items]


def clear_objects(store: Store, item: Forgotten) -> None:
    """Delete or rewrite the objects beside the tables that hold something of a document."""
    for key, kept in document_traces(store.objects, item.doc_id, item.uri_hashes, item.groups):
        if kept is None:
            store.objects.delete(key)
        else:
            store.objects.put(key, kept)


def _cleared(store: Store, item: Forgotten, night: str | None) -> Forgotten:
    clear_objects(store, item)
    return save_forgotten(
        store.objects,
        replace(
            item,
            adapters=trained_adapters(store.objects, item.doc_id),
            erased_at=item.erased_at or datetime.now(UTC).isoformat(timespec="seconds"),
            clean_night=item.clean_night or night,
        ),
    )


def _joined(item: Forgotten, known: Forgotten | None) -> Forgotten:
    """The record to go on with: of a document whose forgetting is under way the known one, of one that came back a new one."""
    if known is None or known.finished_at:
        return item
    return replace(known, retention_days=min(known.retention_days, item.retention_days))
