"""The end of forgetting: once the retention is over, nights and old versions that hold a forgotten document are removed for good.

Nights from the first that holds it up to the first without it lose their tags: their files hold its rows, or their indices its words.
Their ledger rows stay as history. Then Lance removes every version that no tag protects, with its files.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import lance

from lloco_core.errors import StorageError
from lloco_core.store.change import LEASE_SECONDS, change_id, half_done
from lloco_core.store.fencing import commit_lease
from lloco_core.store.forgetting.forget import clear_objects, erase, forget
from lloco_core.store.forgetting.forgotten import Forgotten, forgotten_documents, save_forgotten
from lloco_core.store.forgetting.holdings import holds_physically, nights_that_hold
from lloco_core.store.lease import CommitLease
from lloco_core.store.maintenance.session import LEASE
from lloco_core.store.nights import nights_that_open, published_nights
from lloco_core.store.rollback import finish_rollback
from lloco_core.store.tables import CONTENT_TABLES, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)


def forget_and_finish(store: Store, documents: Sequence[Forgotten], lease_seconds: float = LEASE_SECONDS) -> list[Forgotten]:
    """Forget documents, and finish what is due; maintenance is kept out meanwhile. Returns the records of what was changed.

    Raises:
        CommitError: a plan is open, or another run holds a lease that is needed.
    """
    with CommitLease(store.objects, change_id("forget"), lease_seconds, name=LEASE):
        changed = {item.doc_id: item for item in forget(store, documents, lease_seconds)} if documents else {}
        return list((changed | {item.doc_id: item for item in finish_forgetting(store, datetime.now(UTC), lease_seconds)}).values())


def finish_forgetting(store: Store, now: datetime, lease_seconds: float = LEASE_SECONDS) -> list[Forgotten]:
    """Finish what an interrupted run began to erase, and remove what is due; returns the documents that are gone for good.

    Callers hold the maintenance lease. Nothing is done while a plan is open: a warning is logged, the next call does it.

    Args:
        now: an aware time.

    Raises:
        StorageError: a version holds a document and could not be removed.
    """
    pending = [item for item in forgotten_documents(store.objects) if item.finished_at is None]
    if not any(item.erased_at is None or item.due_at <= now for item in pending):
        return []
    run_id = change_id("forget")
    with commit_lease(store, run_id, lease_seconds) as lease:
        if found := half_done(store):
            logger.warning("%s: %s; forgotten documents are removed after an ingest has finished it", store.root, found)
            return []
        finish_rollback(store, lease)
        pending = erase(store, lease, pending, run_id)
        due = [item for item in pending if item.due_at <= now]
        if not due:
            return []
        lease.check()
        _untag_nights(store, due)
        _clean_tables(store)
        _refuse_leftovers(store, due)
        for item in due:
            clear_objects(store, item)
        return [save_forgotten(store.objects, replace(item, finished_at=now.isoformat(timespec="seconds"))) for item in due]


def _untag_nights(store: Store, due: Sequence[Forgotten]) -> None:
    order = {row["run_id"]: number for number, row in enumerate(published_nights(store))}
    nights = [row["run_id"] for row in nights_that_open(store)]
    doomed: set[str] = set()
    for item in due:
        holding = nights_that_hold(store, [item.doc_id])
        if holding and item.clean_night:
            first, end = min(order[night] for night in holding), order[item.clean_night]
            doomed |= holding | {night for night in nights if first <= order[night] < end}
    # the oldest last: after a crash it still tells that those after it have to go
    for night in sorted(doomed - set(nights[-1:]), key=order.__getitem__, reverse=True):
        logger.info("night %s held a forgotten document and is removed", night)
        for table in CONTENT_TABLES:
            store.dataset(table).tags.delete(night)
    _drop_left_over_tags(store, [item.doc_id for item in due])


def _drop_left_over_tags(store: Store, doc_ids: Sequence[str]) -> None:
    """Tags of no whole night, left by a crash between two tags or set by hand, must not protect what is to be removed."""
    nights = {row["run_id"] for row in nights_that_open(store)}
    for table in CONTENT_TABLES:
        for name, tag in store.dataset(table).tags.list().items():
            if name not in nights and holds_physically(store.dataset(table, tag["version"]), doc_ids):
                store.dataset(table).tags.delete(name)


def _clean_tables(store: Store) -> None:
    quarantine = store.dataset("quarantine")
    transaction = quarantine.read_transaction(quarantine.version)
    if transaction and isinstance(transaction.operation, lance.LanceOperation.Delete):
        quarantine.restore()  # the filter of the newest delete names URIs; the version after it keeps no filter
    for table in (*CONTENT_TABLES, "quarantine"):
        # files that no version names belong to nobody: no plan is open, and ingest and maintenance are kept out
        store.dataset(table).cleanup_old_versions(timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False)


def _refuse_leftovers(store: Store, due: Sequence[Forgotten]) -> None:
    doc_ids = [item.doc_id for item in due]
    for table in CONTENT_TABLES:
        for version in (item["version"] for item in store.dataset(table).versions()):
            if holds_physically(store.dataset(table, version), doc_ids):
                raise StorageError(
                    f"{store.table_uri(table)}: version {version} holds a forgotten document and could not be removed; "
                    f"delete its tags, then run `lloco forget --due --store {store.root}`"
                )
