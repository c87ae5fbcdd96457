"""Taking out of the tables what a batch replaces or removes. Every step may be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lloco_core.store.documents import READABLE
from lloco_core.store.fencing import open_to_write
from lloco_core.store.filters import parts, sql_list
from lloco_core.store.tables import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lloco_core.store.lease import CommitLease
    from lloco_core.store.records import ShardRecord


def retire_replaced(store: Store, lease: CommitLease, batch: list[ShardRecord]) -> None:
    """Mark the rows superseded that a batch replaces, and drop the segments and passages of their versions."""
    for record in batch:
        _retire(store, lease, record, record.retired, "superseded")


def remove_gone(store: Store, lease: CommitLease, batch: list[ShardRecord]) -> None:
    """Mark the rows of documents deleted that are gone, and drop the segments and passages of their versions."""
    for record in batch:
        _retire(store, lease, record, record.removed, "deleted")


def drop_versions(store: Store, lease: CommitLease, versions: Sequence[tuple[str, str]]) -> None:
    """Drop the segments and passages of document versions, given as (version_id, doc_id)."""
    for part in parts(versions):
        where = f"doc_id IN ({sql_list([doc for _, doc in part])}) AND version_id IN ({sql_list([version for version, _ in part])})"
        for table in ("segments", "passages"):
            open_to_write(store, lease, table).delete(where)


def _retire(store: Store, lease: CommitLease, record: ShardRecord, versions: dict[str, str], status: str) -> None:
    sources = sql_list(list(record.source_uris))
    for part in parts(sorted(versions.items())):
        ids = sql_list([version for version, _ in part])
        older = f"source_uri IN ({sources}) AND shard_id != '{record.shard_id}' AND {READABLE}"
        open_to_write(store, lease, "documents").update({"status": f"'{status}'"}, where=f"version_id IN ({ids}) AND {older}")
        readable = _readable_versions(store, ids)
        drop_versions(store, lease, [item for item in part if item[0] not in readable])


def _readable_versions(store: Store, versions: str) -> set[str]:
    found = store.dataset("documents").to_table(columns=["version_id"], filter=f"version_id IN ({versions}) AND {READABLE}")
    return set(found["version_id"].to_pylist())
