"""Which active adapters read the vectors of a night: those made with the encoder that made the vectors, and no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lloco_core.registry.active import active_adapters

if TYPE_CHECKING:
    import lance

    from lloco_core.store.tables import Store


def fitting_adapters(store: Store, documents: lance.LanceDataset) -> dict[str, str]:
    """Group -> active adapter, for the groups of a `documents` table whose active rows all have the adapter's encoder fingerprint."""
    active = active_adapters(store.objects)
    if not active:
        return {}
    recorded = _recorded_fingerprints(store)
    found: dict[str, str] = {}
    for group, fingerprints in _fingerprints_of_groups(documents).items():
        adapter_id = active[group].adapter_id if group in active else None
        if adapter_id and fingerprints == {recorded.get(adapter_id) or _manifest_fingerprint(store, adapter_id)}:
            found[group] = adapter_id
    return dict(sorted(found.items()))


def _fingerprints_of_groups(documents: lance.LanceDataset) -> dict[str, set[str]]:
    columns = ["group_id", "encoder_fingerprint"]
    pairs = documents.to_table(columns=columns, filter="status = 'active'").group_by(columns).aggregate([])
    found: dict[str, set[str]] = {}
    for row in pairs.to_pylist():
        found.setdefault(row["group_id"], set()).add(row["encoder_fingerprint"])
    return found


def _recorded_fingerprints(store: Store) -> dict[str, str]:
    if not store.exists("adapters"):
        return {}
    rows = store.dataset("adapters").to_table(columns=["adapter_id", "encoder_fingerprint"]).to_pylist()
    return {row["adapter_id"]: row["encoder_fingerprint"] for row in rows}


def _manifest_fingerprint(store: Store, adapter_id: str) -> str | None:
    """Of an adapter that is active but not recorded yet: its registration was interrupted between the two."""
    key = f"adapters/{adapter_id}/manifest.json"
    return json.loads(store.objects.get(key))["encoder_fingerprint"] if store.objects.stat(key) else None
