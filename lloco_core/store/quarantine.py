"""The quarantine table: one row per rejected document, kept until the document is read successfully."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lloco_core.store import schema
from lloco_core.store.fencing import open_to_write
from lloco_core.store.filters import sql_list
from lloco_core.store.tables import Store

if TYPE_CHECKING:
    import lance

    from lloco_core.store.lease import CommitLease
    from lloco_core.store.records import ShardRecord
    from lloco_core.types import Rejection


def record_rejections(store: Store, lease: CommitLease, batch: list[ShardRecord]) -> None:
    """Write the rejections of a batch of shards, and drop those that its objects no longer have.

    A run that repeats this (after a crash) neither counts an attempt twice nor loses when a document was first seen.
    """
    read = [uri for record in batch for uri in record.source_uris]
    table = open_to_write(store, lease, "quarantine")
    before = table.to_table(filter=f"source_uri IN ({sql_list(read)})").to_pylist() if read else []
    known = {row["uri"]: row for row in before}
    rows = [
        _row(rejection, record.run_id, known.get(rejection.uri))
        | {"source_uri": _source_of(rejection, record), "corpus_uri": record.corpus_uri or None}
        for record in batch
        for rejection in record.rejections
    ]
    resolved = sorted(set(known) - {row["uri"] for row in rows})
    _upsert(table, rows)
    if resolved:
        open_to_write(store, lease, "quarantine").delete(f"uri IN ({sql_list(resolved)})")


def reject_stored(store: Store, lease: CommitLease, rejected: list[tuple[Rejection, dict[str, Any]]], run_id: str) -> None:
    """Write rejections of stored documents, given with their rows; nothing else of their objects changes."""
    table = open_to_write(store, lease, "quarantine")
    columns = ("source_uri", "corpus_uri", "doc_id")
    _upsert(table, [_row(rejection, run_id, None) | {name: row[name] for name in columns} for rejection, row in rejected])


def _upsert(table: lance.LanceDataset, rows: list[dict[str, Any]]) -> None:
    if rows:
        unique = {row["uri"]: row for row in rows}  # an upsert refuses two rows of one key
        source = pa.Table.from_pylist(list(unique.values()), schema=schema.QUARANTINE)
        table.merge_insert("uri").when_matched_update_all().when_not_matched_insert_all().execute(source)


def _source_of(rejection: Rejection, record: ShardRecord) -> str:
    return rejection.uri if rejection.uri in record.source_uris else rejection.uri.rpartition("#")[0]


def _row(rejection: Rejection, run_id: str, before: dict[str, Any] | None) -> dict[str, Any]:
    now = datetime.now(UTC)
    attempts = 1
    if before:
        attempts = before["attempts"] + (before["run_id"] != run_id)
    return {
        "uri": rejection.uri,
        "etag": rejection.etag,
        "stage": rejection.stage,
        "code": rejection.code,
        "message": rejection.message,
        "n_documents": rejection.n_documents,
        "first_seen": before["first_seen"] if before else now,
        "last_seen": now,
        "attempts": attempts,
        "run_id": run_id,
    }
