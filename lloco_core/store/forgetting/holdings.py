"""Finding a document in every version of a store, and what holds it there, deleted rows included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from lloco_core.errors import StorageError
from lloco_core.fingerprint import digest
from lloco_core.store.filters import sql_list
from lloco_core.store.forgetting.forgotten import TableRows, name_hash
from lloco_core.store.nights import night_versions, nights_that_open
from lloco_core.store.tables import CONTENT_TABLES, Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    import lance

IDENTITY = ["doc_id", "uri", "title", "group_id"]

NEWEST = "newest"
"""Stands for a night's name where a version is the newest one and no night's."""


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A document as all versions of it together know it."""

    doc_id: str
    uris: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def uri_hashes(self) -> tuple[str, ...]:
        """What is kept of its URIs when it is forgotten."""
        return tuple(name_hash(uri) for uri in self.uris)


def find_document(store: Store, wanted: str) -> HeldDocument:
    """Find a document of any status by id, URI, title, or the end of its URI: in the newest tables, the quarantine, and every night.

    Raises:
        StorageError: no document or more than one matches.
    """
    rows = _matching_rows(store, wanted)
    found = {row["doc_id"] for row in rows if wanted in (row["doc_id"], row["uri"], row["title"])}
    found = found or {row["doc_id"] for row in rows}
    if len(found) != 1:
        raise StorageError(f"{len(found)} documents of {store.root} match {wanted!r}; give a document id or a whole URI")
    [doc_id] = found
    mine = [*_rows_of(store, doc_id), *(row for row in rows if row["doc_id"] == doc_id)]
    groups = {row["group_id"] for row in mine if row["group_id"]}
    return HeldDocument(doc_id, tuple(sorted({row["uri"] for row in mine})), tuple(sorted(groups)))


def table_rows(store: Store, document: HeldDocument) -> tuple[TableRows, ...]:
    """Rows per table and version that a reader can find."""
    where = f"doc_id IN ({sql_list([document.doc_id])})"
    counts = [
        TableRows(table, version, night, store.dataset(table, version).count_rows(where))
        for night, versions in _snapshots(store)
        for table, version in versions.items()
    ]
    quarantine = store.dataset("quarantine")
    counts.append(TableRows("quarantine", quarantine.version, NEWEST, quarantine.count_rows(f"uri IN ({sql_list(list(document.uris))})")))
    return tuple(count for count in counts if count.rows)


def holds_physically(dataset: lance.LanceDataset, doc_ids: Iterable[str], fragments: list[lance.LanceFragment] | None = None) -> bool:
    """Whether the data files of a version (or of some of its fragments) hold rows of documents, deleted ones included."""
    scanner = dataset.scanner(
        columns=["doc_id"],
        filter=f"doc_id IN ({sql_list(sorted(doc_ids))})",
        fragments=fragments,
        with_row_id=True,
        include_deleted_rows=True,
        use_scalar_index=False,  # an index knows nothing of deleted rows
    )
    return any(batch.num_rows for batch in scanner.to_batches())


def nights_that_hold(store: Store, doc_ids: Iterable[str]) -> set[str]:
    """Nights of which some table's files hold rows of documents."""
    doc_ids = sorted(doc_ids)
    return {
        row["run_id"]
        for row in nights_that_open(store)
        if any(holds_physically(store.dataset(table, version), doc_ids) for table, version in night_versions(row).items())
    }


def _matching_rows(store: Store, wanted: str) -> list[dict[str, Any]]:
    """Identities with this id, URI, or title, or a URI that ends so; of a rejected document the id that it would have by its URI."""
    found = []
    for version in _document_versions(store):
        for batch in store.dataset("documents", version).to_batches(columns=IDENTITY):
            matches = pc.ends_with(batch["uri"], wanted)
            for column in ("doc_id", "uri", "title"):
                matches = pc.or_(matches, pc.fill_null(pc.equal(batch[column], wanted), False))
            found += batch.filter(matches).to_pylist()
    known = {row["uri"] for row in found}
    rejected = store.dataset("quarantine").to_table(columns=["uri"])["uri"].to_pylist()
    unread = [uri for uri in rejected if uri.endswith(wanted) and uri not in known]
    return [*found, *({"doc_id": digest(uri), "uri": uri, "title": None, "group_id": None} for uri in unread)]


def _rows_of(store: Store, doc_id: str) -> list[dict[str, Any]]:
    where = f"doc_id IN ({sql_list([doc_id])})"
    tables = (store.dataset("documents", version).to_table(columns=IDENTITY, filter=where) for version in _document_versions(store))
    return [row for table in tables for row in table.to_pylist()]


def _document_versions(store: Store) -> list[int]:
    return sorted({versions["documents"] for _, versions in _snapshots(store)})


def _snapshots(store: Store) -> list[tuple[str, dict[str, int]]]:
    """Names and table versions of what can be opened: every night, and the newest versions where they are no night's."""
    nights = [(row["run_id"], night_versions(row)) for row in nights_that_open(store)]
    newest = {table: store.dataset(table).version for table in CONTENT_TABLES}
    return [*nights, (NEWEST, newest)] if newest not in [versions for _, versions in nights] else nights
