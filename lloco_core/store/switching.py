"""Switching groups to a new encoder: its vectors are staged beside the old ones, and a group changes over as a whole.

A group is complete when every document that readers see of it has a staged version or cannot have one: the encoder refused it, or its
object changed since and could not be read. Switching marks the old versions superseded and the staged ones active, then drops the
vectors that nobody can read any more. An object `_switching` says what is switched, from before the first step until after the last:
what a crash left is finished by the next run, whatever encoder it has.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lloco_core.objects import without_place
from lloco_core.store.documents import READABLE
from lloco_core.store.fencing import open_to_write
from lloco_core.store.filters import parts, sql_list
from lloco_core.store.retire import drop_versions
from lloco_core.store.tables import Store

if TYPE_CHECKING:
    from lloco_core.store.lease import CommitLease

logger = logging.getLogger(__name__)

MARKER = "_switching"

ENCODER_STAGES = ("tokenize", "encode")
"""Stages whose refusal of an unchanged document is the new encoder's; what could not be read today may be readable tomorrow."""


@dataclass(frozen=True, slots=True)
class _Version:
    doc_id: str
    group: str
    encoder: str
    status: str
    uri: str
    source_uri: str
    content: str
    """Its etag without the file's place: rights that change do not make a document another one."""


def switch_groups(store: Store, lease: CommitLease, encoder_fingerprint: str) -> list[str]:
    """Switch the groups that are complete with this encoder; returns them. Staged versions of other encoders are dropped."""
    finish_switch(store, lease)
    if store.dataset("documents").count_rows("status = 'staged'") == 0:
        return []
    complete = _complete_groups(store, encoder_fingerprint)
    mark_unfinished(store, encoder_fingerprint, complete)
    _set_status(store, lease, "superseded", f"status = 'staged' AND {_other(encoder_fingerprint)}")
    finish_switch(store, lease)
    if complete:
        logger.info("%d groups have changed to encoder %s: %s", len(complete), encoder_fingerprint, ", ".join(complete))
    return complete


def mark_unfinished(store: Store, encoder_fingerprint: str = "", groups: list[str] | None = None) -> None:
    """Announce that statuses are about to change, and which groups are switched to which encoder."""
    store.objects.put(MARKER, json.dumps({"encoder": encoder_fingerprint, "groups": groups or []}).encode())


def finish_switch(store: Store, lease: CommitLease) -> None:
    """Finish what was announced: switch the groups, then drop the vectors of versions that are not readable. Repeating it is harmless."""
    if store.objects.stat(MARKER) is None:
        return
    announced = json.loads(store.objects.get(MARKER))
    for part in parts([(group, group) for group in announced["groups"]]):
        _switch(store, lease, announced["encoder"], [group for group, _ in part])
    _drop_unreadable(store, lease)
    store.objects.delete(MARKER)


def _switch(store: Store, lease: CommitLease, encoder_fingerprint: str, groups: list[str]) -> None:
    """Old versions first: a document that came from another group has its old version there."""
    of_groups = f"group_id IN ({sql_list(groups)})"
    staged = f"status = 'staged' AND NOT ({_other(encoder_fingerprint)}) AND {of_groups}"
    _set_status(store, lease, "superseded", f"status = 'active' AND {_other(encoder_fingerprint)} AND {of_groups}")
    doc_ids = store.dataset("documents").to_table(columns=["doc_id"], filter=staged)["doc_id"].to_pylist()
    for part in parts([(doc_id, doc_id) for doc_id in doc_ids]):
        _set_status(store, lease, "superseded", f"status = 'active' AND doc_id IN ({sql_list([doc_id for doc_id, _ in part])})")
    _set_status(store, lease, "active", staged)


def _drop_unreadable(store: Store, lease: CommitLease) -> None:
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


def _complete_groups(store: Store, encoder_fingerprint: str) -> list[str]:
    versions = _versions(store)
    staged = {item.doc_id: item.group for item in versions if item.status == "staged" and item.encoder == encoder_fingerprint}
    refused, changed = _hopeless(store)
    waits_for: dict[str, set[str | None]] = {group: set() for group in staged.values()}
    for item in versions:
        if item.status != "active" or item.encoder == encoder_fingerprint:
            continue
        waits = waits_for.setdefault(item.group, set())
        if item.doc_id in staged:
            waits.add(staged[item.doc_id])
        elif not _is_hopeless(item, refused, changed):
            waits.add(None)  # not encoded yet
    complete = {group for group, others in waits_for.items() if None not in others}
    while incomplete := {group for group in complete if waits_for[group] - {group} - complete}:  # a document moved to a group that is not
        complete -= incomplete
    return sorted(complete)


def _is_hopeless(item: _Version, refused: set[tuple[str, str]], changed: dict[str, set[str]]) -> bool:
    is_refused = {(item.uri, item.content), (item.source_uri, item.content)} & refused
    return bool(is_refused or changed.get(item.source_uri, set()) - {item.content})


def _hopeless(store: Store) -> tuple[set[tuple[str, str]], dict[str, set[str]]]:
    """Documents (URI, etag) that an encoder refused, and per object the etags with which something of it could not be read."""
    rows = store.dataset("quarantine").to_table(columns=["uri", "source_uri", "etag", "stage"]).to_pylist()
    refused = {(row["uri"], without_place(row["etag"])) for row in rows if row["stage"] in ENCODER_STAGES}
    changed: dict[str, set[str]] = {}
    for row in rows:
        changed.setdefault(row["source_uri"], set()).add(without_place(row["etag"]))
    return refused, changed


def _versions(store: Store) -> list[_Version]:
    columns = ["doc_id", "group_id", "encoder_fingerprint", "status", "uri", "source_uri", "etag"]
    rows = store.dataset("documents").to_table(columns=columns, filter=READABLE).to_pylist()
    return [_Version(*(row[name] for name in columns[:-1]), without_place(row["etag"])) for row in rows]


def _other(encoder_fingerprint: str) -> str:
    return f"encoder_fingerprint != '{encoder_fingerprint}'"


def _set_status(store: Store, lease: CommitLease, status: str, where: str) -> None:
    open_to_write(store, lease, "documents").update({"status": f"'{status}'"}, where=where)
