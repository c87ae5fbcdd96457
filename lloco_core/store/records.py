"""Shard records and open plans: the small JSON objects that make a night resumable.

A *shard record* says which uncommitted fragments hold a shard. It is created (never replaced) after the fragments are
written, so of two attempts at a shard exactly one counts; the fragments of the other are orphans. A *plan marker* lies
under `_plans/open/` from before the first shard is written until the last one is in the ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lloco_core.types import Rejection, RemovedDocuments

if TYPE_CHECKING:
    from lloco_core.objects import Objects


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """What a worker reports of a written shard: counts, and the fragments per table as Lance's own JSON."""

    plan_id: str
    shard_id: str
    run_id: str
    n_documents: int
    n_segments: int
    n_passages: int
    n_tokens: int
    n_encoded_tokens: int
    """Of these, tokens that went through the encoder; the others' vectors were kept."""
    n_unchanged: int
    encode_seconds: float
    fragments: dict[str, list[dict[str, Any]]]
    source_uris: tuple[str, ...]
    retired: dict[str, str] = field(default_factory=dict)
    """version_id -> doc_id of what its rows replace. An unchanged text keeps its version, only its row is replaced."""
    removed: dict[str, str] = field(default_factory=dict)
    """version_id -> doc_id of what is gone: rows that a container has no longer, or documents whose object is gone."""
    rejections: tuple[Rejection, ...] = ()
    corpus_uri: str = ""
    """Where its objects were listed."""
    encoder_id: str = ""
    """As in `CompressedShard`. Records of older versions lack these three; their `encode_seconds` are wall seconds of the call."""
    encode_started: float | None = None
    encode_ended: float | None = None
    n_bytes: int = 0
    """Listed size of the shard's objects; records of older versions lack this and what follows."""
    attempts: int = 1
    """Attempts at encoding the shard, the successful one included."""
    group_tokens: dict[str, int] = field(default_factory=dict)
    """group -> tokens of `n_encoded_tokens`: by these the encoder's seconds are shared out among the groups."""
    n_pages_without_text: int = 0
    """Of the PDFs among its documents."""

    @property
    def n_quarantined(self) -> int:
        """Documents that are lost by `rejections`."""
        return sum(self.reasons.values())

    @property
    def reasons(self) -> Counter[str]:
        """Documents in `rejections` by reason code."""
        counts: Counter[str] = Counter()
        for rejection in self.rejections:
            counts[rejection.code] += rejection.n_documents
        return counts

    @property
    def n_removed(self) -> int:
        """Documents in `removed`."""
        return len(set(self.removed.values()))


@dataclass(frozen=True, slots=True)
class PlanMarker:
    """An unfinished plan and the table versions it started from: commits are searched for after them."""

    plan_id: str
    run_id: str
    base_versions: dict[str, int]
    n_shards: int


def save_record(objects: Objects, record: ShardRecord) -> ShardRecord:
    """Create the record; when another attempt was first, its record is returned and counts."""
    key = _record_key(record.plan_id, record.shard_id)
    if objects.create(key, json.dumps(asdict(record)).encode()):
        return record
    return _parse_record(objects.get(key))


def record_removal(objects: Objects, plan_id: str, run_id: str, removed: RemovedDocuments, corpus_uri: str) -> ShardRecord:
    """Create the record of a part of a plan that has nothing to encode."""
    counts = dict.fromkeys(("n_documents", "n_segments", "n_passages", "n_tokens", "n_encoded_tokens", "n_unchanged"), 0)
    record = ShardRecord(
        plan_id=plan_id,
        shard_id=removed.shard_id,
        run_id=run_id,
        **counts,
        encode_seconds=0.0,
        fragments={},
        source_uris=removed.source_uris,
        removed=removed.versions,
        corpus_uri=corpus_uri,
    )
    return save_record(objects, record)


def load_records(objects: Objects, plan_id: str) -> list[ShardRecord]:
    """All records of a plan, by shard id."""
    return [_parse_record(objects.get(item.key)) for item in objects.list(f"_plans/{plan_id}/{plan_id}-")]


def open_plan(objects: Objects, marker: PlanMarker) -> PlanMarker:
    """Announce a plan before its first shard is written; a plan that is open already keeps its base versions."""
    key = _marker_key(marker.plan_id)
    if objects.create(key, json.dumps(asdict(marker)).encode()):
        return marker
    return PlanMarker(**json.loads(objects.get(key)))


def close_plan(objects: Objects, plan_id: str) -> None:
    """Forget a plan whose shards are all in the ledger."""
    objects.delete(_marker_key(plan_id))


def open_plans(objects: Objects) -> list[PlanMarker]:
    """Plans that a crash left unfinished."""
    return [PlanMarker(**json.loads(objects.get(item.key))) for item in objects.list("_plans/open/")]


def _parse_record(data: bytes) -> ShardRecord:
    fields = json.loads(data)
    fields.setdefault("n_encoded_tokens", fields["n_tokens"])  # records of earlier releases, which kept nothing
    fields["rejections"] = tuple(Rejection(**rejection) for rejection in fields["rejections"])
    fields["source_uris"] = tuple(fields["source_uris"])
    return ShardRecord(**fields)


def _record_key(plan_id: str, shard_id: str) -> str:
    return f"_plans/{plan_id}/{shard_id}.json"


def _marker_key(plan_id: str) -> str:
    return f"_plans/open/{plan_id}.json"
