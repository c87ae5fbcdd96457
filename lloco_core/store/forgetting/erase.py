"""Taking documents out of the newest versions of the tables: their rows, the files that hold them, and the indices.

A Lance delete only marks rows, and an index remembers the words of rows that are gone. So the fragments that hold the documents,
and no others, are written again, and the indices are built anew. Older versions keep their files until they are cleaned up.
Repeating any of it changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lloco_core.errors import StorageError
from lloco_core.store.fencing import open_to_write
from lloco_core.store.filters import sql_list
from lloco_core.store.forgetting.forgotten import name_hash
from lloco_core.store.forgetting.holdings import holds_physically
from lloco_core.store.index import SCALAR_INDICES, rebuild_index
from lloco_core.store.tables import Store
from lloco_core.store.write import MAX_ROWS_PER_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lloco_core.store.lease import CommitLease

ERASE_ORDER = ("documents", "passages", "segments")
"""A document disappears before what it refers to, as it appeared after it."""
BATCH_ROWS = 64
"""Rows in memory while fragments are written again: 25 MB of vectors of a 7B model."""


def erase_documents(store: Store, lease: CommitLease, doc_ids: Iterable[str]) -> None:
    """Remove the rows of documents, whatever their status, from documents, passages, and segments."""
    doc_ids = sorted(doc_ids)
    for table in ERASE_ORDER:
        where = f"doc_id IN ({sql_list(doc_ids)})"
        if store.dataset(table).count_rows(where):
            open_to_write(store, lease, table).delete(where)
        if holds_physically(store.dataset(table), doc_ids):
            _rewrite_fragments(store, lease, table, doc_ids)


def rebuild_indices(store: Store, lease: CommitLease) -> None:
    """Build all indices of the newest versions anew, from the rows that are there."""
    for table, scalars in SCALAR_INDICES.items():
        dataset = store.dataset(table)
        indices = {index.field_names[0]: index.name for index in dataset.describe_indices()}
        if dataset.count_rows() == 0:
            for name in indices.values():
                open_to_write(store, lease, table).drop_index(name)
            continue
        for column, kind in scalars:
            if column in indices:
                rebuild_index(open_to_write(store, lease, table), column, kind, indices[column])
        if "vector" in indices:
            open_to_write(store, lease, table).optimize.optimize_indices(index_names=[indices["vector"]], retrain=True)


def erase_quarantined(store: Store, lease: CommitLease, hashes: Iterable[str]) -> None:
    """Remove the quarantine rows of documents by the hashes of their URIs."""
    hashes, table = set(hashes), store.dataset("quarantine")
    uris = table.scanner(columns=["uri"], with_row_id=True).to_table().to_pylist()
    # by row id: the filter of a delete stays readable in the transaction, and these rows are known by their URI
    found = [str(row["_rowid"]) for row in uris if name_hash(row["uri"]) in hashes]
    if found:
        lease.check()
        table.delete(f"_rowid IN ({', '.join(found)})")
        store.dataset("quarantine").optimize.compact_files(materialize_deletions_threshold=0.0, num_threads=1)


def _rewrite_fragments(store: Store, lease: CommitLease, table: str, doc_ids: list[str]) -> None:
    dataset = open_to_write(store, lease, table)
    clean = [item.fragment_id for item in dataset.get_fragments() if not holds_physically(dataset, doc_ids, [item])]
    dataset.optimize.compact_files(
        target_rows_per_fragment=MAX_ROWS_PER_FILE,
        materialize_deletions=True,
        materialize_deletions_threshold=0.0,
        excluded_fragment_ids=clean,
        num_threads=1,
        batch_size=BATCH_ROWS,
    )
    if holds_physically(store.dataset(table), doc_ids):
        raise StorageError(f"{store.table_uri(table)}: deleted rows are still in its files after they were written again; run it again")
