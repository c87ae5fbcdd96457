"""What a night has to do: the listed corpus against what the store holds, cut into shards.

Pure of side effects. The same listing against the same store gives the same plan id and the same shards.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lloco_core.corpus.sources import list_corpus
from lloco_core.fingerprint import digest
from lloco_core.types import KnownDocument, Shard, SourceObject

if TYPE_CHECKING:
    from lloco_core.config import CorpusConfig, StoreConfig
    from lloco_core.store.tables import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """The work of one ingest."""

    plan_id: str
    shards: tuple[Shard, ...]
    n_objects: int
    """Objects listed."""
    n_unchanged: int
    """Of these, stored already with this encoder."""
    n_stored_documents: int
    """Documents in the unchanged objects."""
    n_quarantined: int
    """Documents of listed objects that were quarantined earlier and did not change since."""

    @property
    def n_bytes(self) -> int:
        """Bytes to read."""
        return sum(source.size for shard in self.shards for source in shard.objects)

    def describe(self) -> str:
        """The plan in one line."""
        work = f"{len(self.shards)} shards, {self.n_bytes / 1e6:.1f} MB to read"
        known = f"{self.n_unchanged} of {self.n_objects} objects are stored with this encoder, {self.n_quarantined} documents in quarantine"
        return f"{known}; {work}"


def plan_corpus(corpus: CorpusConfig, layout: StoreConfig, store: Store, encoder_fingerprint: str) -> Plan:
    """List the corpus and keep what is new, changed, or encoded with another encoder."""
    stored = _stored_documents(store)
    quarantined = _quarantined_documents(store)
    todo: list[SourceObject] = []
    n_objects = n_unchanged = n_stored_documents = n_quarantined = 0
    for source in list_corpus(corpus):
        n_objects += 1
        rejected = quarantined[source.uri, source.etag]
        if _is_stored(source, stored, encoder_fingerprint) and not (rejected and corpus.retry_quarantined):
            n_unchanged += 1
            n_stored_documents += len(stored[source.uri])
            n_quarantined += rejected
        elif rejected and not _has_version(source, stored) and not corpus.retry_quarantined:
            n_quarantined += rejected
        else:
            todo.append(source)
    by_doc_id = {row["doc_id"]: row for rows in stored.values() for row in rows}
    base = [store.dataset(name).version for name in ("documents", "ledger")]
    plan_id = digest([[(source.uri, source.etag) for source in todo], encoder_fingerprint, base])
    shards = tuple(
        Shard(plan_id, f"{plan_id}-{number:06d}", tuple(objects), _known(objects, stored, by_doc_id))
        for number, objects in enumerate(_pack(todo, layout))
    )
    return Plan(plan_id, shards, n_objects, n_unchanged, n_stored_documents, n_quarantined)


def _is_stored(source: SourceObject, stored: dict[str, list[dict[str, Any]]], encoder_fingerprint: str) -> bool:
    rows = stored.get(source.uri, ())
    return any(row["etag"] == source.etag and row["encoder_fingerprint"] == encoder_fingerprint for row in rows)


def _has_version(source: SourceObject, stored: dict[str, list[dict[str, Any]]]) -> bool:
    return any(row["etag"] == source.etag for row in stored.get(source.uri, ()))


def _pack(sources: list[SourceObject], layout: StoreConfig) -> list[list[SourceObject]]:
    shards: list[list[SourceObject]] = []
    size = 0
    for source in sources:
        full = not shards or len(shards[-1]) >= layout.shard_objects or size + source.size > layout.shard_bytes
        if full:
            shards.append([])
            size = 0
        shards[-1].append(source)
        size += source.size
    return shards


def _known(
    sources: list[SourceObject], stored: dict[str, list[dict[str, Any]]], by_doc_id: dict[str, dict[str, Any]]
) -> dict[str, KnownDocument]:
    """Stored documents that these objects replace: their own, and those whose id a manifest now gives to another object."""
    given = (by_doc_id.get(source.metadata.get("doc_id", "")) for source in sources)
    rows = [*(row for source in sources for row in stored.get(source.uri, ())), *(row for row in given if row)]
    return {
        row["doc_id"]: KnownDocument(
            version_id=row["version_id"],
            content_hash=row["content_hash"],
            group=row["group_id"],
            encoder_fingerprint=row["encoder_fingerprint"],
            n_tokens=row["n_tokens"],
            n_segments=row["n_segments"],
        )
        for row in rows
    }


def _stored_documents(store: Store) -> dict[str, list[dict[str, Any]]]:
    columns = ["source_uri", "etag", "doc_id", "version_id", "content_hash", "group_id", "encoder_fingerprint", "n_tokens", "n_segments"]
    by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for batch in store.dataset("documents").to_batches(columns=columns, filter="status = 'active'"):
        for row in batch.to_pylist():
            by_source[row["source_uri"]].append(row)
    return by_source


def _quarantined_documents(store: Store) -> Counter[tuple[str, str]]:
    """Quarantined documents per (object, etag)."""
    table = store.dataset("quarantine").to_table(columns=["source_uri", "etag"])
    return Counter(zip(table["source_uri"].to_pylist(), table["etag"].to_pylist(), strict=True))
