"""Columns of the stored documents and of the quarantine that planning compares a listing with, as streams."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from lloco_core.store.filters import parts, sql_list
from lloco_core.types import KnownDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    import lance
    import pyarrow as pa

    from lloco_core.store.tables import Store

READABLE = "status IN ('active', 'staged')"
"""Document versions that have segments and passages."""

COLUMNS = (
    "source_uri",
    "corpus_uri",
    "etag",
    "doc_id",
    "uri",
    "version_id",
    "content_hash",
    "group_id",
    "encoder_fingerprint",
    "status",
    "n_tokens",
    "n_segments",
)


def stored_documents(store: Store) -> pa.RecordBatchReader:
    """Document versions that have segments, without their texts' details."""
    return store.dataset("documents").scanner(columns=list(COLUMNS), filter=READABLE).to_reader()


class StoredDocuments:
    """The table `documents` at one version, searched by content: a renamed or copied text has its vectors already."""

    def __init__(self, store: Store, table_version: int) -> None:
        self.store = store
        self.table_version = table_version

    @cached_property
    def _table(self) -> lance.LanceDataset:
        return self.store.dataset("documents", self.table_version)

    def with_content(self, content_hashes: Sequence[str], encoder_fingerprint: str) -> dict[str, KnownDocument]:
        """By content hash a document version that was encoded from this text; hashes without one are left out."""
        found: dict[str, KnownDocument] = {}
        for part in parts(content_hashes):
            where = f"content_hash IN ({sql_list(part)}) AND encoder_fingerprint = '{encoder_fingerprint}' AND {READABLE}"
            for row in self._table.to_table(columns=list(COLUMNS), filter=where).to_pylist():
                found.setdefault(row["content_hash"], _known(row))
        return found


def _known(row: dict) -> KnownDocument:
    return KnownDocument(
        doc_id=row["doc_id"],
        version_id=row["version_id"],
        content_hash=row["content_hash"],
        group=row["group_id"],
        encoder_fingerprint=row["encoder_fingerprint"],
        n_tokens=row["n_tokens"],
        n_segments=row["n_segments"],
    )


def stored_quarantine(store: Store) -> pa.RecordBatchReader:
    """Object and etag of every quarantined document, and how many each row stands for."""
    table = store.dataset("quarantine")
    columns = {name: name for name in ("source_uri", "etag", "code", "doc_id", "corpus_uri")}
    known = "n_documents" in table.schema.names  # a preview does not add columns to a store of an earlier release
    columns["n_documents"] = "coalesce(n_documents, 1)" if known else "cast(1 as bigint)"
    return table.scanner(columns=columns).to_reader()
