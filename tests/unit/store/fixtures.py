"""What the tests of the store, the registry, objects, and planning share: a store in a folder and on real S3 servers, and
hand-made shards. Vectors follow from the text, so two shards with the same document hold the same numbers.

The S3 servers themselves are in `tests/conftest.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest

from lloco_core.config import MaintenanceConfig, StoreConfig
from lloco_core.fingerprint import digest
from lloco_core.settings import settings
from lloco_core.store.commit import Committer, begin_plan
from lloco_core.store.lease import CommitLease
from lloco_core.store.maintenance.session import Maintenance, open_maintenance
from lloco_core.store.records import ShardRecord
from lloco_core.store.tables import Store
from lloco_core.store.write import Writing, version_id, write_shard
from lloco_core.types import CompressedDocument, CompressedShard, Document, KnownDocument, Passage, Rejection, Segment, Shard, SourceObject
from tests.conftest import BUCKET, S3_SERVERS, endpoint_of, reach

SUMMARY, HIDDEN, DIMENSION = 2, 8, 4
ENCODER = "encoder-1"
SEGMENT_TOKENS = 4

_numbers = itertools.count()


@pytest.fixture(params=["folder", pytest.param("ceph", marks=pytest.mark.real)])
def store_uri(request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where an empty store may be made: a folder, then a prefix on Ceph; in modules that ask for `PLACES` on moto too (a second a test)."""
    yield from place(request, tmp_path, monkeypatch)


PLACES = ["folder", *S3_SERVERS]


def place(request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The place that a fixture's parameter names."""
    if request.param == "folder":
        yield str(tmp_path / "store")
        return
    reach(endpoint_of(request), monkeypatch)
    yield f"s3://{BUCKET}/store-{next(_numbers)}"
    settings.cache_clear()


@pytest.fixture
def store(store_uri: str) -> Store:
    """A store with empty tables."""
    return new_store(store_uri)


def new_store(uri: str) -> Store:
    store = Store(uri)
    store.create_tables(SUMMARY, HIDDEN, DIMENSION)
    return store


def document(name: str, text: str, group: str = "a", etag: str = "e1", doc_id: str | None = None) -> Document:
    uri = f"file:///corpus/{name}"
    return Document(doc_id or digest(uri), uri, etag, text, digest(text), name, "text/plain", group=group)


def vectors_of(text: str, n_segments: int) -> np.ndarray:
    """Summary vectors [n_segments, S, H] float16 of a text."""
    seed = int(digest(text, 8), 16)
    return np.random.default_rng(seed).standard_normal((n_segments, SUMMARY, HIDDEN)).astype(np.float16)


def compressed(found: Document) -> CompressedDocument:
    """A document as the encoder would give it: a token per word, `SEGMENT_TOKENS` to a segment, a passage per segment."""
    words = found.text.split(" ")
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    ends[-1] -= 1
    bounds = [(start, min(start + SEGMENT_TOKENS, len(words))) for start in range(0, len(words), SEGMENT_TOKENS)]
    chars = [(ends[start - 1] if start else 0, ends[end - 1]) for start, end in bounds]
    summaries = vectors_of(found.text, len(bounds))
    segments = [
        Segment(index, digest([found.text, index]), *bounds[index], *chars[index], summary=summaries[index]) for index in range(len(bounds))
    ]
    passages = [Passage(index, start, end, found.text[start:end]) for index, (start, end) in enumerate(chars)]
    vectors = summaries[:, 0, :DIMENSION].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return CompressedDocument(found, found.group or "ungrouped", len(words), len(words), segments, passages, vectors)


def known_of(found: Document, encoder: str = ENCODER) -> KnownDocument:
    """What a plan would say of a stored document."""
    whole = compressed(found)
    source = found.uri.partition("#row-")[0]
    version = version_id(found.doc_id, source, found.content_hash, whole.group, encoder)
    counts = (whole.n_tokens, len(whole.segments))
    return KnownDocument(found.doc_id, version, found.content_hash, whole.group, encoder, *counts, found.uri, source, version)


def shard(
    plan_id: str,
    number: int,
    documents: Sequence[Document] = (),
    unchanged: Sequence[Document] = (),
    rejections: Sequence[Rejection] = (),
    known: Sequence[Document] = (),
) -> CompressedShard:
    """A compressed shard; `known` are the stored versions of its documents."""
    found = {item.uri.partition("#row-")[0]: item.etag for item in (*documents, *unchanged, *rejections)}
    objects = tuple(SourceObject(uri, etag, 1, uri.rpartition("/")[2]) for uri, etag in found.items())
    plan = Shard(plan_id, f"{plan_id}-{number:06d}", objects, {item.doc_id: known_of(item) for item in known})
    return CompressedShard(plan, [compressed(item) for item in documents], list(unchanged), list(rejections), 0.5)


def write(store: Store, item: CompressedShard, run_id: str = "run-1", encoder: str = ENCODER) -> ShardRecord:
    return write_shard(store, item, Writing(run_id, encoder, SUMMARY))


def lease(store: Store, run_id: str = "run-1", seconds: float = 600) -> CommitLease:
    return CommitLease(store.objects, run_id, seconds)


def ingest(store: Store, *shards: CompressedShard, run_id: str = "run-1", encoder: str = ENCODER) -> int:
    """Write and commit shards of one plan; returns how many were committed."""
    plan_id = shards[0].shard.plan_id
    with lease(store, run_id) as held:
        committer = Committer(store, held, begin_plan(store, plan_id, run_id, len(shards)))
        n_committed = committer.commit([write(store, item, run_id, encoder) for item in shards])
        committer.close()
    return n_committed


def maintaining(store: Store, **config: Any) -> AbstractContextManager[Maintenance]:
    return open_maintenance(StoreConfig(uri=store.root), MaintenanceConfig(**config), "maintenance-1")


def rows(store: Store, table: str, where: str | None = None) -> list[dict[str, Any]]:
    return store.dataset(table).to_table(filter=where).to_pylist()
