"""The committer: the only code that makes written shards visible. Runs in the driver, under the lease.

A batch of shards is committed in this order; every step is skipped or harmless when it was done before:

1. append fragments to `segments`, then `passages`, then `documents` (one Lance transaction per table);
2. retire what the batch replaces or removes: older rows of the same documents, rows of documents that are gone;
3. write `quarantine`;
4. append the `ledger` rows: from here on the shards are done;
5. write and log their event lines (`store.events`).

Every append carries its shard ids in the transaction properties. After a crash the committer finds the ids of each table in the
transactions since the plan's base version, so it appends what is missing and nothing twice:

| killed | state | the next run |
|---|---|---|
| before a record exists | orphan fragments | encodes the shard again |
| between record and step 1 | fragments and record | commits them; nothing is encoded again |
| inside step 1 | some tables have the shard | appends to the others |
| between 1 and 4 | tables have it, ledger not | repeats 2 and 3, then 4 |
| between 4 and 5 | done | writes the event lines |

Readers open a *night* (`ledger`), so they never see a half-committed batch. Every write goes through a table that was opened before
the lease was looked at (`store.fencing`), so that a committer that lost its lease cannot write any more.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import lance
import pyarrow as pa
from lance.fragment import FragmentMetadata, write_fragments

from lloco_core.settings import settings
from lloco_core.store import schema
from lloco_core.store.events import ShardEvents
from lloco_core.store.fencing import open_to_write
from lloco_core.store.filters import sql_list
from lloco_core.store.quarantine import record_rejections
from lloco_core.store.records import PlanMarker, ShardRecord, close_plan, load_records, open_plan, open_plans
from lloco_core.store.retire import remove_gone, retire_replaced
from lloco_core.store.tables import CONTENT_TABLES, Store
from lloco_core.store.transactions import committed_properties

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lloco_core.store.lease import CommitLease

logger = logging.getLogger(__name__)

FragmentsOf = Callable[[list[ShardRecord]], list[FragmentMetadata]]

OnCommit = Callable[[list[ShardRecord], float], None]
"""Called with the shards that a commit has put into the ledger and the seconds it took."""

SHARDS_PROPERTY = "lloco.shards"
RECOVERED_AT_ONCE = 64
"""Shards per commit of a recovery."""


def nobody(_records: list[ShardRecord], _seconds: float) -> None:
    """The default of `on_commit`."""


def begin_plan(store: Store, plan_id: str, run_id: str, n_shards: int) -> PlanMarker:
    """Announce a plan, with the table versions after which its commits will lie."""
    versions = {name: store.dataset(name).version for name in (*CONTENT_TABLES, "ledger")}
    return open_plan(store.objects, PlanMarker(plan_id, run_id, versions, n_shards))


def recover_plans(store: Store, lease: CommitLease, on_commit: OnCommit = nobody) -> int:
    """Finish what a crashed run left: commit every recorded shard of every open plan. Returns the shards committed."""
    recovered = 0
    for marker in open_plans(store.objects):
        committer = Committer(store, lease, marker, on_commit)
        records = load_records(store.objects, marker.plan_id)
        for start in range(0, len(records), RECOVERED_AT_ONCE):
            recovered += committer.commit(records[start : start + RECOVERED_AT_ONCE])
        close_plan(store.objects, marker.plan_id)
    if recovered:
        logger.info("recovered %d written shards of an interrupted run", recovered)
    return recovered


class Committer:
    """Commits the shards of one plan, each exactly once."""

    def __init__(self, store: Store, lease: CommitLease, marker: PlanMarker, on_commit: OnCommit = nobody) -> None:
        self.store = store
        self.lease = lease
        self.marker = marker
        self._on_commit = on_commit
        self._events = ShardEvents(store.objects, marker)
        self._done = {name: self._shards_since(name, marker.base_versions[name]) for name in CONTENT_TABLES}
        self._done["ledger"] = self._shards_in_ledger()

    def commit(self, records: Iterable[ShardRecord]) -> int:
        """Commit a batch of shards; those already in the ledger are left out. Returns how many were committed."""
        records = list(records)
        batch = [record for record in records if record.shard_id not in self._done["ledger"]]
        if not batch:
            self._events.add(records)
            return 0
        started = time.monotonic()
        for name in CONTENT_TABLES:
            self._append(name, [record for record in batch if record.fragments.get(name)], partial(recorded_fragments, name))
        retire_replaced(self.store, self.lease, batch)
        remove_gone(self.store, self.lease, batch)
        record_rejections(self.store, self.lease, batch)
        self._append("ledger", batch, self._ledger_fragments)
        seconds = time.monotonic() - started
        self._on_commit(batch, seconds)
        self._events.add(records, {record.shard_id: seconds / len(batch) for record in batch})
        return len(batch)

    def close(self) -> None:
        """The plan is complete."""
        close_plan(self.store.objects, self.marker.plan_id)

    def _append(self, table: str, records: list[ShardRecord], fragments_of: FragmentsOf) -> None:
        missing = [record for record in records if record.shard_id not in self._done[table]]
        if not missing:
            return
        dataset = open_to_write(self.store, self.lease, table)
        transaction = lance.Transaction(
            read_version=dataset.version,
            operation=lance.LanceOperation.Append(fragments_of(missing)),
            transaction_properties={
                "lloco.plan": self.marker.plan_id,
                SHARDS_PROPERTY: json.dumps([record.shard_id for record in missing]),
                "lloco.code": settings().git_commit,
            },
        )
        lance.LanceDataset.commit(dataset, transaction, storage_options=self.store.storage_options)
        self._done[table] |= {record.shard_id for record in missing}

    def _ledger_fragments(self, records: list[ShardRecord]) -> list[FragmentMetadata]:
        rows = pa.Table.from_pylist([self._ledger_row(record) for record in records], schema=schema.LEDGER)
        uri = self.store.table_uri("ledger")
        return write_fragments(rows, uri, schema=rows.schema, mode="append", storage_options=self.store.storage_options)

    def _ledger_row(self, record: ShardRecord) -> dict[str, Any]:
        return {
            "entry": "shard",
            "plan_id": record.plan_id,
            "shard_id": record.shard_id,
            "run_id": record.run_id,
            "n_documents": record.n_documents,
            "n_segments": record.n_segments,
            "n_passages": record.n_passages,
            "n_tokens": record.n_tokens,
            "n_quarantined": record.n_quarantined,
            "encode_seconds": record.encode_seconds,
            "code": settings().git_commit,
            "committed_at": datetime.now(UTC),
            "group_tokens": json.dumps(record.group_tokens),
        }

    def _shards_in_ledger(self) -> set[str]:
        """By its rows, not by transactions since the marker: a plan that was closed and is run again has a newer marker."""
        where = f"plan_id IN ({sql_list([self.marker.plan_id])})"
        return set(self.store.dataset("ledger").to_table(columns=["shard_id"], filter=where)["shard_id"].to_pylist())

    def _shards_since(self, table: str, base_version: int) -> set[str]:
        found = committed_properties(self.store.dataset(table), base_version)
        return {shard for properties in found for shard in json.loads(properties.get(SHARDS_PROPERTY, "[]"))}


def recorded_fragments(table: str, records: list[ShardRecord]) -> list[FragmentMetadata]:
    """The uncommitted fragments of a table that shard records name."""
    return [FragmentMetadata.from_json(json.dumps(item)) for record in records for item in record.fragments[table]]
