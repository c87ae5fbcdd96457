"""Compaction: many small fragments become few large ones, in bounded memory, at a cost of what is new.

A fragment is large enough at a number of rows that follows from the table's schema alone, so a fragment that was large enough
stays so, and a pass rewrites new fragments, those that lost a tenth of their rows, and at most one older one beside them. There
is no limit of bytes per file: a file cut by it would be below the rows wanted and be rewritten in every pass.

Lance merges only fragments that the same indices cover, so indices are brought up to date first; they then follow the rows, and
forget the deleted ones.

The tasks of a plan run one after another, reading a few rows at a time. Lance rebases a rewrite over appends; where an ingest
has deleted from the same fragments, or an index was built meanwhile, the rewrite is the one that gives way: its files are
orphans, and the fragments are planned again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from lance.optimize import Compaction

from lloco_core.store.transactions import is_conflict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lance.optimize import CompactionTask, RewriteResult

    from lloco_core.store.maintenance.session import Maintenance
    from lloco_core.store.tables import Store

logger = logging.getLogger(__name__)

ROUNDS = 3
"""Plans per pass; what conflicts in all of them is left to the next pass."""
COMMIT_TASKS = 16
"""Tasks per commit: every commit maps all indices of the table to the new rows."""
TEXT_BYTES = 1024
"""A row's bytes without its fixed-size lists, roughly."""
BATCH_BYTES = 8 * 2**20
IO_BUFFER_BYTES = 64 * 2**20
"""What is read ahead."""


@dataclass(slots=True)
class Compacted:
    """What a pass did to one table."""

    table: str
    n_removed: int = 0
    """Fragments that were merged or freed of deleted rows."""
    n_added: int = 0
    n_conflicts: int = 0
    """Rewrites that gave way to an ingest."""


def compact_table(maintenance: Maintenance, table: str) -> Compacted:
    """Merge the small fragments of a table and drop deleted rows where they are many."""
    done = Compacted(table)
    store = maintenance.store
    for _ in range(ROUNDS):
        before = done.n_conflicts
        dataset = store.dataset(table)
        options = compaction_options(dataset.schema, maintenance.config.fragment_bytes)
        for tasks in _batches(Compaction.plan(dataset, options).tasks, COMMIT_TASKS):
            results = [task.execute(dataset) for task in tasks]
            maintenance.lease.check()
            _commit(store, results, options, done)
        if done.n_conflicts == before:
            break
    return done


def compaction_options(schema: pa.Schema, fragment_bytes: int) -> dict[str, Any]:
    """Lance's options for a table: they depend on its columns, not on what it holds."""
    row_bytes = TEXT_BYTES + sum(_list_bytes(field.type) for field in schema)
    return {
        "target_rows_per_fragment": max(1, fragment_bytes // row_bytes),
        "num_threads": 1,
        "batch_size": max(1, BATCH_BYTES // row_bytes),
        "io_buffer_size": IO_BUFFER_BYTES,
    }


def _list_bytes(kind: pa.DataType) -> int:
    return kind.list_size * kind.value_type.bit_width // 8 if pa.types.is_fixed_size_list(kind) else 0


def _commit(store: Store, results: list[RewriteResult], options: dict[str, Any], done: Compacted) -> None:
    """Commit rewrites together, or, when one of them conflicts, those that do not."""
    try:
        metrics = Compaction.commit(store.dataset(done.table), results, options)
    except OSError as error:
        if not is_conflict(error):
            raise
        if len(results) == 1:
            done.n_conflicts += 1
            logger.info("table %s: a rewrite gives way to another transaction: %s", done.table, error)
            return
        for result in results:
            _commit(store, [result], options, done)
    else:
        done.n_removed += metrics.fragments_removed
        done.n_added += metrics.fragments_added


def _batches(tasks: Iterable[CompactionTask], size: int) -> Iterator[list[CompactionTask]]:
    iterator = iter(tasks)
    while batch := list(islice(iterator, size)):
        yield batch
