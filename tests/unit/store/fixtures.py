"""What the tests of the store, the registry, objects, and planning share: a store in a folder and on a real (moto) S3, and
hand-made shards. Vectors follow from the text, so two shards with the same document hold the same numbers.

Test modules import the fixtures by name: `from tests.unit.store.fixtures import s3, s3_endpoint, store_uri`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from lloco_core.fingerprint import digest
from lloco_core.settings import settings
from lloco_core.store.commit import Committer, begin_plan
from lloco_core.store.lease import CommitLease
from lloco_core.store.records import ShardRecord
from lloco_core.store.tables import Store
from lloco_core.store.write import write_shard
from lloco_core.types import CompressedDocument, CompressedShard, Document, KnownDocument, Passage, Rejection, Segment, Shard, SourceObject

SUMMARY, HIDDEN, DIMENSION = 2, 8, 4
ENCODER = "encoder-1"
SEGMENT_TOKENS = 4
BUCKET = "store-tests"

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)  # a fixed port that is taken would hang for ever
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A boto3 client and an environment in which the package reaches the same server; bucket `BUCKET` exists."""
    import boto3

    for name in ("AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    settings.cache_clear()
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    yield client
    settings.cache_clear()


@pytest.fixture(params=["folder", "s3"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    """Where an empty store may be made: a folder, then an S3 prefix."""
    if request.param == "folder":
        return str(tmp_path / "store")
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/store-{next(_numbers)}"


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
    return CompressedDocument(found, found.group or "ungrouped", len(words), segments, passages, vectors)


def known_of(found: Document, encoder: str = ENCODER) -> KnownDocument:
    """What a plan would say of a stored document."""
    whole = compressed(found)
    return KnownDocument(found.content_hash, whole.group, encoder, whole.n_tokens, len(whole.segments))


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
    return write_shard(store, item, run_id, encoder, SUMMARY)


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


def rows(store: Store, table: str, where: str | None = None) -> list[dict[str, Any]]:
    return store.dataset(table).to_table(filter=where).to_pylist()
