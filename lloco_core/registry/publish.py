"""Publishing adapters: immutable files first, then the active pointer, then the record, which says that all is done.

An adapter lies at `<store>/adapters/<group>--<sha12>/`, one flat level, as Ray Serve and vLLM's resolver expect. The name is
content-addressed over the training inputs, because servers cache adapters by name for good.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from lloco_core.errors import RegistryError
from lloco_core.registry.active import activate, active_adapter, previous_adapter
from lloco_core.registry.candidates import Candidate, candidate_file
from lloco_core.registry.validate import FILES, validate_adapter
from lloco_core.store import schema
from lloco_core.store.forgetting.forgotten import forgotten_documents
from lloco_core.store.tables import Store

REGISTERED = "registered"

GATE_TOLERANCE = 1.02
"""Held-out loss may rise by 2 % (noise of a small held-out set) before an adapter is refused."""


def register(store: Store, candidate: Candidate) -> str:
    """Validate, publish, activate, and record an adapter. Repeating it changes nothing, also when another one is active by now.

    Returns:
        `registered`, or `rejected: <why>`; a rejected adapter is recorded but neither published nor activated.
    """
    recorded = [row["gate"] for row in registered_adapters(store) if row["adapter_id"] == candidate.adapter_id]
    if recorded:
        return recorded[0]
    is_forgotten = any(item.doc_id in candidate.documents for item in forgotten_documents(store.objects))
    # the files of a candidate that was trained on a forgotten document are deleted
    contents = {} if is_forgotten else {name: candidate_file(store.objects, candidate.adapter_id, name) for name in FILES}
    verdict = "rejected: trained on a forgotten document" if is_forgotten else _verdict(candidate, contents)
    parent = previous_adapter(store.objects, candidate.group, candidate.adapter_id)
    files = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    if verdict == REGISTERED:
        _upload(store, candidate, parent, contents, files)
        activate(store.objects, candidate.group, candidate.adapter_id)
    _record(store, candidate, verdict, parent, files)  # last: a recorded candidate is not looked at again
    return verdict


def ensure_active(store: Store, group: str, adapter_id: str) -> bool:
    """Activate a registered adapter that is not the active one: the group's documents went back to an earlier state.

    Returns:
        Whether anything changed.
    """
    is_registered = any(row["adapter_id"] == adapter_id and row["status"] == REGISTERED for row in registered_adapters(store))
    current = active_adapter(store.objects, group)
    if not is_registered or (current and current.adapter_id == adapter_id):
        return False
    activate(store.objects, group, adapter_id)
    return True


def registered_adapters(store: Store) -> list[dict[str, Any]]:
    """All adapter records, oldest first."""
    if not store.exists("adapters"):
        return []
    return sorted(store.dataset("adapters").to_table().to_pylist(), key=lambda row: (row["created_at"], row["adapter_id"]))


def _verdict(candidate: Candidate, contents: dict[str, bytes]) -> str:
    with tempfile.TemporaryDirectory(prefix="lloco-candidate-") as folder:
        for name, data in contents.items():
            Path(folder, name).write_bytes(data)
        try:
            validate_adapter(Path(folder))
        except RegistryError as error:
            return f"rejected: {error}"
    before, after = candidate.metrics.get("holdout_loss_before"), candidate.metrics.get("holdout_loss_after")
    if before is not None and after is not None and not after <= before * GATE_TOLERANCE:  # a loss that is not a number fails
        return f"rejected: held-out loss rose from {before:.3f} to {after:.3f}"
    return REGISTERED


def _upload(store: Store, candidate: Candidate, parent: str | None, contents: dict[str, bytes], files: dict[str, str]) -> None:
    manifest = asdict(candidate) | {"parent": parent, "sha256": files}
    contents = contents | {"manifest.json": json.dumps(manifest, indent=2, sort_keys=True).encode()}
    for name, data in contents.items():
        if not store.objects.create(f"adapters/{candidate.adapter_id}/{name}", data) and name in files:
            stored = store.objects.get(f"adapters/{candidate.adapter_id}/{name}")
            if hashlib.sha256(stored).hexdigest() != files[name]:
                raise RegistryError(
                    f"{store.root}/adapters/{candidate.adapter_id}/{name} exists with other content; adapters are immutable"
                )


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
