"""Publishing adapters: immutable files first, then the record, then the active pointer.

An adapter lies at `<store>/adapters/<group>--<sha12>/`, one flat level, as Ray Serve and vLLM's resolver expect. The name is
content-addressed over the training inputs, because servers cache adapters by name for good.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lloco_core.errors import RegistryError
from lloco_core.fingerprint import digest
from lloco_core.registry.active import activate, active_adapter
from lloco_core.registry.validate import FILES, validate_adapter
from lloco_core.store import schema
from lloco_core.store.tables import Store, sql_list

if TYPE_CHECKING:
    from collections.abc import Sequence

GATE_TOLERANCE = 1.02
"""Held-out loss may rise by 2 % (noise of a small held-out set) before an adapter is refused."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained adapter that asks to be registered."""

    adapter_id: str
    group: str
    folder: str
    night: str
    encoder_fingerprint: str
    base_model: str
    recipe: dict[str, Any]
    metrics: dict[str, float]
    documents: dict[str, str]
    """doc_id -> version_id it was trained on."""
    n_examples: int


def adapter_name(group: str, inputs: dict[str, Any]) -> str:
    """`<group>--<sha12>` over the training inputs."""
    return f"{group}--{digest(inputs, 12)}"


def register(store: Store, candidate: Candidate) -> str:
    """Validate, publish, record, and (if the gate passes) activate an adapter. Repeating it changes nothing.

    Returns:
        `registered` or the reason of the rejection.
    """
    validate_adapter(Path(candidate.folder))
    verdict = _gate(candidate.metrics)
    current = active_adapter(store.objects, candidate.group)
    parent = current.adapter_id if current and current.adapter_id != candidate.adapter_id else None
    files = _upload(store, candidate, parent)
    _record(store, candidate, verdict, parent, files)
    if verdict == "registered":
        activate(store.objects, candidate.group, candidate.adapter_id)
    return verdict


def registered_adapters(store: Store) -> list[dict[str, Any]]:
    """All adapter records, oldest first."""
    if not store.exists("adapters"):
        return []
    return sorted(store.dataset("adapters").to_table().to_pylist(), key=lambda row: (row["created_at"], row["adapter_id"]))


def download_adapter(store: Store, adapter_id: str, cache: Path) -> Path:
    """Fetch an adapter into a local folder; a folder store's own files are used in place.

    Raises:
        RegistryError: there is no such adapter.
    """
    keys = [item.key for item in store.objects.list(f"adapters/{adapter_id}/")]
    if not keys:
        raise RegistryError(f"{store.root} has no adapter {adapter_id!r}; `lloco status` lists them")
    if store.storage_options is None:
        return Path(store.root, "adapters", adapter_id)
    for key in keys:
        target = cache / key.removeprefix("adapters/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(store.objects.get(key))
    return cache / adapter_id


def _gate(metrics: dict[str, float]) -> str:
    before, after = metrics.get("holdout_loss_before"), metrics.get("holdout_loss_after")
    if before is not None and after is not None and after > before * GATE_TOLERANCE:
        return f"rejected: held-out loss rose from {before:.3f} to {after:.3f}"
    return "registered"


def _upload(store: Store, candidate: Candidate, parent: str | None) -> dict[str, str]:
    folder = Path(candidate.folder)
    contents = {name: (folder / name).read_bytes() for name in FILES}
    files = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    manifest = {
        "adapter_id": candidate.adapter_id,
        "group": candidate.group,
        "base_model": candidate.base_model,
        "encoder_fingerprint": candidate.encoder_fingerprint,
        "night": candidate.night,
        "parent": parent,
        "documents": candidate.documents,
        "n_examples": candidate.n_examples,
        "recipe": candidate.recipe,
        "metrics": candidate.metrics,
        "sha256": files,
    }
    contents["manifest.json"] = json.dumps(manifest, indent=2, sort_keys=True).encode()
    for name, data in contents.items():
        store.objects.create(f"adapters/{candidate.adapter_id}/{name}", data)
    stored = store.objects.get(f"adapters/{candidate.adapter_id}/{FILES[1]}")
    return files | {FILES[1]: hashlib.sha256(stored).hexdigest()}


def _record(store: Store, candidate: Candidate, verdict: str, parent: str | None, files: dict[str, str]) -> None:
    row = {
        "adapter_id": candidate.adapter_id,
        "group_id": candidate.group,
        "parent": parent,
        "night": candidate.night,
        "encoder_fingerprint": candidate.encoder_fingerprint,
        "base_model": candidate.base_model,
        "recipe": json.dumps(candidate.recipe, sort_keys=True),
        "metrics": json.dumps(candidate.metrics, sort_keys=True),
        "gate": verdict,
        "status": verdict.partition(":")[0],
        "n_documents": len(candidate.documents),
        "n_examples": candidate.n_examples,
        "files": json.dumps(files, sort_keys=True),
        "created_at": datetime.now(UTC),
    }
    source = pa.Table.from_pylist([row], schema=schema.ADAPTERS)
    # one registrar at a time (deployment concurrency 1), so an upsert cannot race with another
    store.dataset("adapters").merge_insert("adapter_id").when_not_matched_insert_all().execute(source)


def known_adapters(store: Store, adapter_ids: Sequence[str]) -> dict[str, str]:
    """adapter_id -> status of those among the given ids that have a record."""
    if not adapter_ids:
        return {}
    table = store.dataset("adapters").to_table(["adapter_id", "status"], filter=f"adapter_id IN ({sql_list(list(adapter_ids))})")
    return dict(zip(table["adapter_id"].to_pylist(), table["status"].to_pylist(), strict=True))
