"""Indices: full text on passages, point lookups by document; a vector index once a table is large enough to need one."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from lloco_core.store.text_index import options_to_build, stored_options
from lloco_core.store.transactions import retry_conflicts

if TYPE_CHECKING:
    import lance

    from lloco_core.store.tables import Store

logger = logging.getLogger(__name__)

VECTOR_INDEX_ROWS = 100_000
"""Below this an exact scan answers in milliseconds and finds everything."""

SCALAR_INDICES = {
    "documents": (("doc_id", "BTREE"), ("content_hash", "BTREE")),
    "segments": (("doc_id", "BTREE"),),
    "passages": (("doc_id", "BTREE"), ("group_id", "BITMAP"), ("text", "INVERTED")),
}


def build_indices(store: Store, language: str | None = None) -> None:
    """Create what is missing and bring the rest up to date. Unindexed rows are scanned, so readers never miss one.

    Args:
        store: the store.
        language: `corpus.language`; where the full-text index is of another one it is built anew. By default it stays as it is.
    """
    for name in SCALAR_INDICES:
        retry_conflicts(partial(_build_indices_of, store, name, language))


def _build_indices_of(store: Store, name: str, language: str | None) -> None:
    dataset = store.dataset(name)
    if dataset.count_rows() == 0:
        return
    existing = {index.field_names[0]: index.name for index in dataset.describe_indices()}
    for column, kind in SCALAR_INDICES[name]:
        if kind == "INVERTED":
            if options := options_to_build(dataset, language):
                dataset.create_scalar_index(column, kind, name=existing.get(column), replace=True, **options)
        elif column not in existing:
            dataset.create_scalar_index(column, kind)
    if name == "passages" and "vector" not in existing and dataset.count_rows() >= VECTOR_INDEX_ROWS:
        parts = _sub_vectors(dataset.schema.field("vector").type.list_size)
        dataset.create_index("vector", "IVF_PQ", metric="cosine", num_sub_vectors=parts)
    if existing and _has_unindexed_rows(dataset):
        dataset.optimize.optimize_indices()


def rebuild_index(dataset: lance.LanceDataset, column: str, kind: str, name: str) -> None:
    """Build an index anew from the rows that are there, with the options it has."""
    options = (stored_options(dataset) or {}) if kind == "INVERTED" else {}
    dataset.create_scalar_index(column, kind, name=name, replace=True, **options)


def _sub_vectors(dimension: int) -> int:
    """Parts of a vector that are quantised alone: of 16 numbers, or as near to it as divides the vector."""
    return next(parts for parts in range(max(1, dimension // 16), 0, -1) if dimension % parts == 0)


def _has_unindexed_rows(dataset: lance.LanceDataset) -> bool:
    statistics = [dataset.stats.index_stats(index.name) for index in dataset.describe_indices()]
    return any(item.get("num_unindexed_rows", 0) for item in statistics)
