"""A written plan: `_plans/<plan_id>/objects.lance` has the listed objects by shard, `removed.lance` the documents that are gone.

A worker reads its shard from there by row range; neither the driver nor Ray holds the objects of all shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import lance

from lloco_core.types import KnownDocument, RemovedDocuments, Shard, SourceObject

if TYPE_CHECKING:
    import pyarrow as pa

    from lloco_core.planning.diff import CorpusDiff
    from lloco_core.planning.shards import Cut
    from lloco_core.store.tables import Store

REMOVED_PER_SHARD = 2_000


@dataclass(frozen=True)
class StoredPlan(Sequence[Shard]):
    """The shards of a plan. Small: what they hold is read when one is asked for."""

    store: Store = field(compare=False)
    plan_id: str
    starts: tuple[int, ...]
    """First object of each shard."""
    n_objects: int

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> Shard:
        if not 0 <= number < len(self):
            raise IndexError(f"plan {self.plan_id} has {len(self)} shards, there is no shard {number}")
        return load_shard(self.store, self.plan_id, number, *self.rows_of(number))

    def rows_of(self, number: int) -> tuple[int, int]:
        """First object of a shard and the first after it."""
        return self.starts[number], self.starts[number + 1] if number + 1 < len(self) else self.n_objects

    def sample(self, count: int) -> list[SourceObject]:
        """About `count` objects of the plan, evenly spread."""
        if not self.n_objects:
            return []
        rows = list(range(0, self.n_objects, max(1, self.n_objects // count)))
        return [_source(row) for row in _table(self.store, self.plan_id, "objects").take(rows).to_pylist()]

    def removed(self) -> Iterator[RemovedDocuments]:
        """The documents that are gone, in parts of bounded size."""
        if not is_written(self.store, self.plan_id, "removed"):
            return
        rows = _table(self.store, self.plan_id, "removed")
        for number, start in enumerate(range(0, rows.count_rows(), REMOVED_PER_SHARD)):
            part = rows.to_table(offset=start, limit=REMOVED_PER_SHARD)
            versions = {row["version_id"]: row["doc_id"] for row in part.to_pylist() if row["version_id"] is not None}
            yield RemovedDocuments(f"{self.plan_id}-removed-{number:06d}", versions, tuple(sorted(set(part["source_uri"].to_pylist()))))


def shard_id(plan_id: str, number: int) -> str:
    """Name of a shard of a plan."""
    return f"{plan_id}-{number:06d}"


def load_shard(store: Store, plan_id: str, number: int, start: int, end: int) -> Shard:
    """Read the shard that is made of the objects `start` to `end` of a written plan."""
    rows = _table(store, plan_id, "objects").to_table(offset=start, limit=end - start).to_pylist()
    known = [item for row in rows for item in json.loads(row["known"] or "[]")]
    return Shard(plan_id, shard_id(plan_id, number), tuple(map(_source, rows)), _known(known))


def write_plan(store: Store, plan_id: str, cut: Cut, diff: CorpusDiff) -> StoredPlan:
    """Write a plan. One that is there already, from an attempt that was interrupted, is replaced by the same content."""
    if cut.n_objects:
        _write(store, plan_id, "objects", diff.planned(cut.n_objects))
    if diff.n_removed():
        _write(store, plan_id, "removed", diff.removed())
    return StoredPlan(store, plan_id, tuple(cut.starts), cut.n_objects)


def is_written(store: Store, plan_id: str, name: str) -> bool:
    """Whether a plan has this table."""
    return next(store.objects.list(f"_plans/{plan_id}/{name}.lance/_versions/"), None) is not None


def _write(store: Store, plan_id: str, name: str, rows: pa.RecordBatchReader) -> None:
    mode = "overwrite" if is_written(store, plan_id, name) else "create"
    lance.write_dataset(rows, _uri(store, plan_id, name), mode=mode, storage_options=store.storage_options)


def _table(store: Store, plan_id: str, name: str) -> lance.LanceDataset:
    return lance.dataset(_uri(store, plan_id, name), storage_options=store.storage_options)


def _uri(store: Store, plan_id: str, name: str) -> str:
    return f"{store.root}/_plans/{plan_id}/{name}.lance"


def _source(row: dict[str, Any]) -> SourceObject:
    return SourceObject(row["uri"], row["etag"], row["size"], row["relative_path"], json.loads(row["metadata"] or "{}"))


def _known(rows: list[dict[str, Any]]) -> dict[str, KnownDocument]:
    """Stored versions by document: that of the plan's encoder if there is one, with the version that readers see beside it."""
    active = {row["doc_id"]: row["version_id"] for row in rows if row["status"] == "active"}
    rows = sorted(rows, key=lambda row: row["is_current"])  # later ones win
    return {
        row["doc_id"]: KnownDocument(
            **{name: value for name, value in row.items() if name not in ("status", "is_current")},
            active_version=active.get(row["doc_id"], ""),
        )
        for row in rows
    }
