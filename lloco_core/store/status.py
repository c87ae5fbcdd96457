"""Read-only views of a store for people: where it stands, and one document in full."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lloco_core.errors import StorageError
from lloco_core.registry.active import active_adapters
from lloco_core.store.forgetting.forgotten import forgotten_documents
from lloco_core.store.nights import nights_that_open
from lloco_core.store.read import open_night
from lloco_core.store.records import open_plans
from lloco_core.store.tables import Store
from lloco_core.store.vectors import describe_vectors

if TYPE_CHECKING:
    from lloco_core.store.read import DocumentRow, Night

NIGHTS_SHOWN = 7


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Where a store stands."""

    root: str
    vectors: str
    """Their format and size."""
    nights: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    adapters: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class DocumentDetails:
    """One document in full, without vectors."""

    fields: dict[str, Any]
    segments: list[dict[str, Any]]
    passages: list[dict[str, Any]]


def store_status(store_uri: str) -> StoreStatus:
    """Summarise a store.

    Raises:
        StorageError: there is no store at the URI.
    """
    store = Store(store_uri)
    if not store.exists("ledger"):
        raise StorageError(f"{store.root} holds no store; run an ingest with --store.uri {store_uri} first")
    ledger = store.dataset("ledger").to_table().to_pylist()
    nights = nights_that_open(store)
    newest = open_night(store_uri) if nights else None
    quarantine = store.dataset("quarantine").to_table().to_pylist()
    return StoreStatus(
        root=store.root,
        vectors=describe_vectors(store.dataset("segments").schema),
        nights=[_night_row(night, ledger) for night in nights[-NIGHTS_SHOWN:]],
        groups=[{"group": group, "documents": count} for group, count in newest.groups().items()] if newest else [],
        adapters=_adapter_rows(store),
        quarantine=[_quarantine_row(row) for row in quarantine],
        warnings=_warnings(store),
    )


def _quarantine_row(row: dict[str, Any]) -> dict[str, Any]:
    lost = {"documents": row.get("n_documents") or 1}  # absent or null in stores of earlier releases
    return {"uri": row["uri"], "stage": row["stage"], "code": row["code"]} | lost | {name: row[name] for name in ("message", "attempts")}


def _warnings(store: Store) -> list[str]:
    plans = [f"plan {plan.plan_id} of run {plan.run_id} is unfinished; the next ingest finishes it" for plan in open_plans(store.objects)]
    pending = [item for item in forgotten_documents(store.objects) if item.finished_at is None]
    return plans + [
        f"document {item.doc_id} is forgotten; old versions hold it until maintenance after {item.due_at:%Y-%m-%d %H:%M} UTC"
        for item in pending
    ]


def document_details(night: Night, wanted: str) -> DocumentDetails:
    """Find a document by id, URI, title, or the end of its URI, and describe it.

    Raises:
        StorageError: no document or more than one matches.
    """
    found = find_documents(night, wanted)
    if len(found) != 1:
        raise StorageError(f"{len(found)} documents of night {night.name} match {wanted!r}; give a document id or a whole URI")
    document = found[0]
    where = f"version_id = '{document.version_id}'"
    segment_columns = ["segment_index", "token_start", "token_end", "char_start", "char_end", "prefix_hash"]
    segments = night.table("segments").to_table(segment_columns, filter=where).sort_by("segment_index").to_pylist()
    vectors = describe_vectors(night.table("segments").schema)
    passages = [{**row, "text": " ".join(row["text"].split())[:80]} for row in night.passages(document.doc_id)]
    return DocumentDetails(_fields(document) | {"vectors": vectors}, segments, passages)


def find_documents(night: Night, wanted: str) -> list[DocumentRow]:
    """Documents with this id, URI, or title, else those whose URI ends so."""
    documents = night.documents()
    exact = [row for row in documents if wanted in (row.doc_id, row.uri, row.title)]
    return exact or [row for row in documents if row.uri.endswith(wanted)]


def _fields(document: DocumentRow) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__slots__}


def _night_row(night: dict[str, Any], ledger: list[dict[str, Any]]) -> dict[str, Any]:
    shards = [row for row in ledger if row["entry"] == "shard" and row["run_id"] == night["run_id"]]
    return {
        "night": night["run_id"],
        "published": f"{night['committed_at']:%Y-%m-%d %H:%M:%S}",
        "documents encoded": sum(row["n_documents"] for row in shards),
        "tokens": sum(row["n_tokens"] for row in shards),
        "encoder seconds": round(sum(row["encode_seconds"] for row in shards), 1),
        "quarantined": sum(row["n_quarantined"] for row in shards),
    }


def _adapter_rows(store: Store) -> list[dict[str, Any]]:
    active = {entry.adapter_id for entry in active_adapters(store.objects).values()}
    forgotten = {adapter_id for item in forgotten_documents(store.objects) for adapter_id in item.adapters}
    rows = store.dataset("adapters").to_table().to_pylist()
    per_group = Counter(row["group_id"] for row in rows)
    return [
        {
            "adapter": row["adapter_id"],
            "active": "yes" if row["adapter_id"] in active else "",
            "gate": row["gate"],
            "documents": row["n_documents"],
            "examples": row["n_examples"],
            "held-out loss": _loss(json.loads(row["metrics"])),
            "versions of group": per_group[row["group_id"]],
            "to do": _to_do(row["adapter_id"], active, forgotten),
        }
        for row in sorted(rows, key=lambda row: row["created_at"])
    ]


def _to_do(adapter_id: str, active: set[str], forgotten: set[str]) -> str:
    if adapter_id not in forgotten:
        return ""
    return ("retrain: " if adapter_id in active else "") + "trained on forgotten document"


def _loss(metrics: dict[str, Any]) -> str:
    before, after = metrics.get("holdout_loss_before"), metrics.get("holdout_loss_after")
    return f"{before:.3f} -> {after:.3f}" if before is not None and after is not None else "-"
