"""Two objects that claim the same document id: one keeps it, the other is quarantined until the id is free.

Within one object the reader refuses a second row with an id (`corpus.formats`); two objects meet only in the tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from lloco_core.store.documents import READABLE
from lloco_core.store.fencing import open_to_write
from lloco_core.store.filters import parts, sql_list
from lloco_core.store.quarantine import reject_stored
from lloco_core.store.switching import finish_switch, mark_unfinished
from lloco_core.store.tables import Store
from lloco_core.types import Rejection

if TYPE_CHECKING:
    from typing import Any

    from lloco_core.store.lease import CommitLease

CODE = "id_duplicate"
"""In quarantine until no readable document has the id: planning reads the object again then."""


def settle_duplicates(store: Store, lease: CommitLease, run_id: str) -> int:
    """Quarantine documents whose id another object's document has; the first object by URI keeps it. Returns how many."""
    refused = [(row, kept) for kept, *others in _claims(store).values() for row in others]
    if not refused:
        return 0
    reject_stored(store, lease, [(_rejection(row, kept), row) for row, kept in refused], run_id)
    mark_unfinished(store)
    for part in parts([(row["version_id"], row["source_uri"]) for row, _ in refused]):
        where = f"version_id IN ({sql_list([version for version, _ in part])}) AND source_uri IN ({sql_list([uri for _, uri in part])})"
        open_to_write(store, lease, "documents").update({"status": "'superseded'"}, where=f"status = 'active' AND {where}")
    finish_switch(store, lease)
    return len(refused)


def freed_claims(store: Store, corpus_uri: str) -> set[str]:
    """Objects of a corpus with a document in quarantine whose id no readable document has any more; of several the first by URI."""
    where = f"code = '{CODE}' AND doc_id IS NOT NULL AND corpus_uri IN ({sql_list([corpus_uri])})"
    waiting = store.dataset("quarantine").to_table(columns=["doc_id", "source_uri"], filter=where)
    if not waiting.num_rows:
        return set()
    taken = store.dataset("documents").to_table(columns=["doc_id"], filter=READABLE)["doc_id"]
    free = waiting.filter(pc.invert(pc.is_in(waiting["doc_id"], value_set=taken)))
    return set(free.group_by("doc_id").aggregate([("source_uri", "min")])["source_uri_min"].to_pylist())


def _claims(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Documents per id that more than one object claims, by URI of the object."""
    ids = store.dataset("documents").to_table(columns=["doc_id"], filter="status = 'active'")["doc_id"]
    counts = pc.value_counts(ids)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    found: dict[str, list[dict[str, Any]]] = {}
    for part in parts([(doc_id, doc_id) for doc_id in sorted(repeated)]):
        where = f"status = 'active' AND doc_id IN ({sql_list([doc_id for doc_id, _ in part])})"
        columns = ["doc_id", "version_id", "uri", "source_uri", "corpus_uri", "etag"]
        for row in store.dataset("documents").to_table(columns=columns, filter=where).to_pylist():
            found.setdefault(row["doc_id"], []).append(row)
    return {doc_id: sorted(rows, key=lambda row: (row["source_uri"], row["uri"])) for doc_id, rows in found.items()}


def _rejection(row: dict[str, Any], kept: dict[str, Any]) -> Rejection:
    message = f"id {row['doc_id']!r} belongs to {kept['uri']} already; give every document an id of its own"
    return Rejection(row["uri"], row["etag"], "commit", CODE, message)
