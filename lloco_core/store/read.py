"""Reading a night: documents, texts, summary vectors, and adapters that belong together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from lloco_core.errors import StorageError
from lloco_core.registry.fitting import fitting_adapters
from lloco_core.store.filters import sql_list
from lloco_core.store.nights import latest_night, night_adapters, night_versions, nights_that_open
from lloco_core.store.tables import Store
from lloco_core.store.vectors import LARGEST, format_of, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable

    import lance
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """An active document of a night."""

    doc_id: str
    version_id: str
    uri: str
    title: str
    group_id: str
    content_hash: str
    n_chars: int
    n_tokens: int
    n_segments: int
    page_starts: tuple[int, ...]
    encoder_fingerprint: str
    created_at: datetime


def open_night(store_uri: str, name: str | None = None) -> Night:
    """Open the newest published night of a store, or the named one.

    Raises:
        StorageError: nothing was published yet, there is no such night, or it was cleaned up.
    """
    store = Store(store_uri)
    row = latest_night(store, name)
    if row is None:
        raise StorageError(f"{store.root} has no published night yet; run an ingest on this store first")
    if name is not None and name not in {night["run_id"] for night in nights_that_open(store)}:
        raise StorageError(f"night {name!r} of {store.root} was cleaned up; `lloco status` lists the nights that can be opened")
    return Night(store, row["run_id"], night_versions(row), night_adapters(row))


class Night:
    """Consistent, read-only view of a store."""

    def __init__(self, store: Store, name: str, versions: dict[str, int], adapters: dict[str, str] | None = None) -> None:
        self.store = store
        self.name = name
        self.versions = versions
        self._adapters = adapters
        self._open: dict[str, lance.LanceDataset] = {}

    def table(self, name: str) -> lance.LanceDataset:
        """A table at this night's version."""
        if name not in self._open:
            self._open[name] = self.store.dataset(name, self.versions[name])
        return self._open[name]

    @property
    def adapters(self) -> dict[str, str]:
        """Group -> id of the adapter that reads this night's vectors. A night that recorded none has the active ones that fit it."""
        if self._adapters is None:
            self._adapters = fitting_adapters(self.store, self.table("documents"))
        return self._adapters

    def adapter(self, group: str) -> str | None:
        """The adapter of a group, or None."""
        return self.adapters.get(group)

    def documents(self, group: str | None = None) -> list[DocumentRow]:
        """Active documents, sorted by URI; of one group if given."""
        where = "status = 'active'" + (f" AND group_id IN ({sql_list([group])})" if group else "")
        return sorted(self._document_rows(where), key=lambda row: row.uri)

    def document(self, doc_id: str) -> DocumentRow | None:
        """One active document by id."""
        return next(iter(self._document_rows(f"status = 'active' AND doc_id IN ({sql_list([doc_id])})")), None)

    def active_versions(self, doc_ids: Iterable[str]) -> set[str]:
        """Version ids of the active ones among these documents: rows of other versions are not part of the night."""
        where = f"status = 'active' AND doc_id IN ({sql_list(sorted(doc_ids))})"
        return set(self.table("documents").to_table(columns=["version_id"], filter=where)["version_id"].to_pylist())

    def groups(self) -> dict[str, int]:
        """Documents per group."""
        column = self.table("documents").to_table(columns=["group_id"], filter="status = 'active'")["group_id"]
        return dict(sorted(Counter(column.to_pylist()).items()))

    def summaries(self, doc_id: str) -> np.ndarray:
        """Summary vectors [S * n_segments, H] float16 of a document, in order, in whatever format they are stored."""
        form = format_of(self.table("segments").schema)
        columns = ["segment_index", "summary", *(["summary_scale"] if form in LARGEST else [])]
        table = self._rows_of(doc_id, "segments", columns).sort_by("segment_index")
        if not table.num_rows:
            raise StorageError(f"{self.store.root}, night {self.name}: document {doc_id!r} has no segments; `lloco inspect` shows it")
        hidden_size = int(table.schema.metadata[b"hidden_size"])
        scales = _numbers(table["summary_scale"]) if form in LARGEST else None
        return unpack(_numbers(table["summary"]).reshape(-1, hidden_size), scales, form)

    def passages(self, doc_id: str) -> list[dict[str, Any]]:
        """Passages of a document, in order: text and its character range."""
        columns = ["passage_index", "char_start", "char_end", "text"]
        return self._rows_of(doc_id, "passages", columns).sort_by("passage_index").to_pylist()

    def text(self, doc_id: str) -> str:
        """The normalised text of a document: its passages cover it without gap or overlap."""
        return "".join(passage["text"] for passage in self.passages(doc_id))

    def _rows_of(self, doc_id: str, table: str, columns: list[str]) -> Any:
        document = self.document(doc_id)
        if document is None:
            raise StorageError(f"{self.store.root}, night {self.name}: no document {doc_id!r}")
        where = f"doc_id IN ({sql_list([doc_id])}) AND version_id = '{document.version_id}'"
        return self.table(table).to_table(columns=columns, filter=where)

    def _document_rows(self, where: str) -> list[DocumentRow]:
        columns = list(DocumentRow.__dataclass_fields__)
        rows = self.table("documents").to_table(columns=columns, filter=where).to_pylist()
        return [DocumentRow(**{**row, "page_starts": tuple(row["page_starts"] or ())}) for row in rows]


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
