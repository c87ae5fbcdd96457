"""One JSON line per committed shard: logged to `lloco_core.events`, and kept in `_runs/<run>/shards/` of the run that made the plan.

An object of S3 cannot be appended to, so every commit makes one of its own. It is written after the ledger row; a shard whose line a
crash prevented gets it from the next run, while its plan is still open. Lines hold names, counts, and seconds, never text.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lloco_core.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lloco_core.objects import Objects
    from lloco_core.store.records import PlanMarker, ShardRecord

logger = logging.getLogger("lloco_core.events")


class ShardEvents:
    """The event lines of one plan, each shard exactly once."""

    def __init__(self, objects: Objects, marker: PlanMarker) -> None:
        self._objects = objects
        self._run_id = marker.run_id
        self._plan_id = marker.plan_id

    def add(self, committed: Iterable[ShardRecord], seconds: Mapping[str, float] | None = None) -> None:
        """Write and log the lines of committed shards that have none yet.

        Args:
            committed: shards in the ledger.
            seconds: shard id -> its share of the seconds of the commit; null in the line of a shard that an interrupted run committed.
        """
        events = [shard_event(record, (seconds or {}).get(record.shard_id)) for record in committed if record.shard_id not in self._told]
        if not events:
            return
        lines = [json.dumps(event) for event in events]  # ASCII without line breaks, whatever a group is called
        key = f"{_folder(self._run_id)}{events[0]['shard']}.jsonl"
        self._objects.put(key, "".join(f"{line}\n" for line in lines).encode())
        self._told.update(event["shard"] for event in events)
        for line in lines:
            logger.info("%s", line)

    @cached_property
    def _told(self) -> set[str]:
        return {event["shard"] for event in shard_events(self._objects, self._run_id) if event["plan"] == self._plan_id}


def shard_events(objects: Objects, run_id: str) -> list[dict[str, Any]]:
    """The lines of all shards that a run planned and that are committed."""
    keys = [item.key for item in objects.list(_folder(run_id))]
    return [json.loads(line) for key in keys for line in objects.get(key).decode().splitlines()]


def shard_event(record: ShardRecord, commit_seconds: float | None) -> dict[str, Any]:
    """What is told of a committed shard."""
    return {
        "event": "shard committed",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "run": record.run_id,
        "plan": record.plan_id,
        "shard": record.shard_id,
        "documents": record.n_documents,
        "unchanged": record.n_unchanged,
        "removed": record.n_removed,
        "segments": record.n_segments,
        "passages": record.n_passages,
        "tokens": record.n_tokens,
        "encoded_tokens": record.n_encoded_tokens,
        "bytes": record.n_bytes,
        "groups": record.group_tokens,
        "quarantined": dict(record.reasons),
        "attempts": record.attempts,
        "encoder": record.encoder_id,
        "encode_seconds": round(record.encode_seconds, 6),
        "commit_seconds": None if commit_seconds is None else round(commit_seconds, 6),
        "code": settings().git_commit,
    }


def _folder(run_id: str) -> str:
    return f"_runs/{run_id}/shards/"
