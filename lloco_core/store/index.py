"""Indices: full text on passages, point lookups by document; a vector index once a table is large enough to need one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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


def build_indices(store: Store) -> None:
    """Create what is missing and bring the rest up to date. Unindexed rows are scanned, so readers never miss one."""
    for name, indices in SCALAR_INDICES.items():
        dataset = store.dataset(name)
        if dataset.count_rows() == 0:
            continue
        existing = {field for index in dataset.describe_indices() for field in index.field_names}
        for column, kind in indices:
            if column not in existing:
                dataset.create_scalar_index(column, kind)
        if name == "passages" and "vector" not in existing and dataset.count_rows() >= VECTOR_INDEX_ROWS:
            dataset.create_index("vector", "IVF_PQ", metric="cosine")
        if existing and _has_unindexed_rows(dataset):
            dataset.optimize.optimize_indices()


def _has_unindexed_rows(dataset: lance.LanceDataset) -> bool:
    statistics = [dataset.stats.index_stats(index.name) for index in dataset.describe_indices()]
    return any(item.get("num_unindexed_rows", 0) for item in statistics)
