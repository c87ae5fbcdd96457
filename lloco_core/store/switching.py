"""Switching groups to a new encoder: its vectors are staged beside the old ones, and a group changes over as a whole.

A group is complete when every document that readers see of it has a staged version, or cannot be encoded any more (it is in
quarantine, unchanged). Switching marks the old versions superseded and the staged ones active, then drops the old vectors. An object
`_switching` lies in the store from before the first step until after the last, so that what a crash left is finished by the next run.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lloco_core.store.documents import READABLE
from lloco_core.store.fencing import open_to_write
from lloco_core.store.retire import drop_versions, parts
from lloco_core.store.tables import Store, sql_list

if TYPE_CHECKING:
    from lloco_core.store.lease import CommitLease

logger = logging.getLogger(__name__)

MARKER = "_switching"


@dataclass(frozen=True, slots=True)
class _Version:
    doc_id: str
    group: str
    encoder: str
    status: str
    names: frozenset[tuple[str, str]]
    """URI and etag, its own and its object's: what it is called in quarantine."""


def switch_groups(store: Store, lease: CommitLease, encoder_fingerprint: str) -> list[str]:
    """Switch the groups that are complete with this encoder; returns them. Staged versions of other encoders are dropped."""
    other = f"encoder_fingerprint != '{encoder_fingerprint}'"
    if store.dataset("documents").count_rows("status = 'staged'") == 0:
        finish_switch(store, lease)
        return []
    complete = _complete_groups(store, encoder_fingerprint)
    store.objects.put(MARKER, b"{}")
    _set_status(store, lease, "superseded", f"status = 'staged' AND {other}")
    for part in parts([(group, group) for group in complete]):
        groups = sql_list([group for group, _ in part])
        _set_status(store, lease, "superseded", f"status = 'active' AND {other} AND group_id IN ({groups})")
        _set_status(store, lease, "active", f"status = 'staged' AND NOT ({other}) AND group_id IN ({groups})")
    finish_switch(store, lease)
    if complete:
        logger.info("%d groups have changed to encoder %s: %s", len(complete), encoder_fingerprint, ", ".join(complete))
    return complete


def finish_switch(store: Store, lease: CommitLease) -> None:
    """Drop the vectors of versions that are not readable any more, if a switch began."""
    if store.objects.stat(MARKER) is None:
        return
    documents = store.dataset("documents").to_table(columns=["version_id"], filter=READABLE)
    readable = set(documents["version_id"].to_pylist())
    for table in ("segments", "passages"):
        versions = dict.fromkeys(
            (version, doc_id)
            for batch in store.dataset(table).to_batches(columns=["version_id", "doc_id"])
            for version, doc_id in zip(batch["version_id"].to_pylist(), batch["doc_id"].to_pylist(), strict=True)
            if version not in readable
        )
        drop_versions(store, lease, list(versions))
    store.objects.delete(MARKER)


def _complete_groups(store: Store, encoder_fingerprint: str) -> list[str]:
    versions = _versions(store)
    staged = {item.doc_id: item.group for item in versions if item.status == "staged" and item.encoder == encoder_fingerprint}
    quarantine = store.dataset("quarantine").to_table(columns=["uri", "etag"])
    rejected = set(zip(quarantine["uri"].to_pylist(), quarantine["etag"].to_pylist(), strict=True))
    old = [item for item in versions if item.status == "active" and item.encoder != encoder_fingerprint]
    waits_for: dict[str, set[str | None]] = {group: set() for group in staged.values()}
    for item in old:
        if item.doc_id in staged or not item.names & rejected:
            waits_for.setdefault(item.group, set()).add(staged.get(item.doc_id))  # None: not encoded yet
    complete = {group for group, others in waits_for.items() if None not in others}
    while incomplete := {group for group in complete if waits_for[group] - {group} - complete}:  # a document moved to a group that is not
        complete -= incomplete
    return sorted(complete)


def _versions(store: Store) -> list[_Version]:
    columns = ["doc_id", "group_id", "encoder_fingerprint", "status", "uri", "source_uri", "etag"]
    rows = store.dataset("documents").to_table(columns=columns, filter=READABLE).to_pylist()
    return [
        _Version(
            row["doc_id"],
            row["group_id"],
            row["encoder_fingerprint"],
            row["status"],
            frozenset((uri, row["etag"]) for uri in (row["uri"], row["source_uri"])),
        )
        for row in rows
    ]


def _set_status(store: Store, lease: CommitLease, status: str, where: str) -> None:
    open_to_write(store, lease, "documents").update({"status": f"'{status}'"}, where=where)
