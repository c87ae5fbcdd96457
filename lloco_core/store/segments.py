"""Reading the stored segments that changed documents are continued from, at the table version that a plan was made with.

Two bounded reads per shard: first the prefix hashes of its changed documents, then, by row id, the vectors of exactly those
segments that are kept.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lloco_core.errors import StorageError
from lloco_core.store.filters import parts, sql_list
from lloco_core.store.tables import Store
from lloco_core.store.vectors import CONTINUABLE, format_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import lance
    import numpy as np
    import pyarrow as pa

    from lloco_core.types import KnownDocument

logger = logging.getLogger(__name__)

BATCH_ROWS = 256
"""About 100 MB of vectors of a 7B model."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """The segments of one document version, in order, without their vectors."""

    prefix_hashes: tuple[str, ...]
    row_ids: tuple[int, ...]

    def first(self, count: int) -> StoredVersion:
        """The leading segments."""
        return StoredVersion(self.prefix_hashes[:count], self.row_ids[:count])


def may_be_continued(segments_schema: pa.Schema) -> bool:
    """Whether the vectors of a table are exact enough to encode on from: 16-bit numbers only.

    The rounding of 8-bit numbers would reach everything encoded after them, so such documents are encoded in full.
    """
    return format_of(segments_schema) in CONTINUABLE


class StoredSegments:
    """The table `segments` at one version. Opens it on first use; errors of Lance are passed on."""

    def __init__(self, store: Store, table_version: int) -> None:
        self.store = store
        self.table_version = table_version

    @cached_property
    def _table(self) -> lance.LanceDataset:
        return self.store.dataset("segments", self.table_version)

    def find(self, known: Mapping[str, KnownDocument]) -> dict[str, StoredVersion]:
        """Look up stored versions, each under the key it is asked for by; versions with missing segments are left out with a warning."""
        if not known or not may_be_continued(self._table.schema):
            return {}
        rows = defaultdict(list)
        items = sorted(known.values(), key=lambda item: item.doc_id)
        for part in parts(items):
            for row in self._rows_of(part):
                rows[row["version_id"]].append(row)
        return {key: found for key, item in sorted(known.items()) if (found := _whole(item, rows[item.version_id]))}

    def summaries(self, row_ids: Sequence[int]) -> dict[int, np.ndarray]:
        """The vectors [S, H] float16 of rows, by row id.

        Raises:
            StorageError: a row is not there.
        """
        found: dict[int, np.ndarray] = {}
        for start in range(0, len(row_ids), BATCH_ROWS):
            where = f"_rowid IN ({', '.join(map(str, row_ids[start : start + BATCH_ROWS]))})"
            for batch in self._table.to_batches(columns=["summary"], filter=where, with_row_id=True):
                hidden_size = int(batch.schema.metadata[b"hidden_size"])
                vectors = batch["summary"].flatten().to_numpy(zero_copy_only=False)
                found |= zip(batch["_rowid"].to_pylist(), vectors.reshape(batch.num_rows, -1, hidden_size), strict=True)
        if missing := set(row_ids) - set(found):
            raise StorageError(
                f"{self._table.uri} at version {self.table_version} has no rows {sorted(missing)[:5]}; was it repaired by hand?"
            )
        return found

    def _rows_of(self, items: Sequence[KnownDocument]) -> Iterator[dict[str, Any]]:
        docs = sql_list([item.doc_id for item in items])
        versions = sql_list([item.version_id for item in items])
        yield from self._table.to_table(
            columns=["version_id", "segment_index", "prefix_hash"],
            filter=f"doc_id IN ({docs}) AND version_id IN ({versions})",
            with_row_id=True,
        ).to_pylist()


def _whole(known: KnownDocument, rows: list[dict[str, Any]]) -> StoredVersion | None:
    rows = sorted(rows, key=lambda row: row["segment_index"])
    if [row["segment_index"] for row in rows] != list(range(known.n_segments)):
        logger.warning(
            "document %s: %d segments are recorded, rows %s were found; it is encoded in full",
            known.doc_id,
            known.n_segments,
            [row["segment_index"] for row in rows],
        )
        return None
    return StoredVersion(tuple(row["prefix_hash"] for row in rows), tuple(row["_rowid"] for row in rows))
