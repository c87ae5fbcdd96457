"""Taking out of the tables what a batch replaces or removes. Every step may be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lloco_core.store.documents import READABLE
from lloco_core.store.fencing import open_to_write
from lloco_core.store.tables import Store, sql_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lloco_core.store.lease import CommitLease
    from lloco_core.store.records import ShardRecord

IN_LIST_LIMIT = 500


def retire_replaced(store: Store, lease: CommitLease, batch: list[ShardRecord]) -> None:
    """Mark older rows of a batch's documents superseded and drop their segments and passages.

    A staged document replaces an older staged one only: the version that readers see stays beside it.
    """
    for record in batch:
        for staged in (False, True):
            replaced = sorted(item for item in record.replaced.items() if (item[0] in record.staged) == staged)
            for part in parts(replaced):
                _retire(store, lease, record, part, "status = 'staged'" if staged else READABLE)


def remove_gone(store: Store, lease: CommitLease, batch: list[ShardRecord]) -> None:
    """Mark the documents deleted that are gone and drop their segments and passages."""
    for record in batch:
        for part in parts(sorted(record.removed.items())):
            versions = sql_list([version for version, _ in part])
            sources = sql_list(list(record.source_uris))
            open_to_write(store, lease, "documents").update(
                {"status": "'deleted'"}, where=f"version_id IN ({versions}) AND source_uri IN ({sources}) AND {READABLE}"
            )
            kept = _readable_versions(store, versions)
            drop_versions(store, lease, [item for item in part if item[0] not in kept])


def drop_versions(store: Store, lease: CommitLease, versions: Sequence[tuple[str, str]]) -> None:
    """Drop the segments and passages of document versions, given as (version_id, doc_id)."""
    for part in parts(versions):
        where = f"doc_id IN ({sql_list([doc for _, doc in part])}) AND version_id IN ({sql_list([version for version, _ in part])})"
        for table in ("segments", "passages"):
            open_to_write(store, lease, table).delete(where)


def parts(items: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    """Pieces that fit into a filter."""
    for start in range(0, len(items), IN_LIST_LIMIT):
        yield items[start : start + IN_LIST_LIMIT]


def _retire(store: Store, lease: CommitLease, record: ShardRecord, part: Sequence[tuple[str, str]], older: str) -> None:
    docs = sql_list([doc_id for doc_id, _ in part])
    kept = sql_list([version for doc_id, new in part for version in (new, record.staged.get(doc_id, "")) if version])
    open_to_write(store, lease, "documents").update(
        {"status": "'superseded'"}, where=f"doc_id IN ({docs}) AND shard_id != '{record.shard_id}' AND {older}"
    )
    for table in ("segments", "passages"):
        open_to_write(store, lease, table).delete(f"doc_id IN ({docs}) AND version_id NOT IN ({kept})")


def _readable_versions(store: Store, versions: str) -> set[str]:
    found = store.dataset("documents").to_table(columns=["version_id"], filter=f"version_id IN ({versions}) AND {READABLE}")
    return set(found["version_id"].to_pylist())
