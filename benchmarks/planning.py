"""A corpus of any size that exists only as an inventory, a store that knows it, and what planning it takes.

Every function here runs in a process of its own (`benchmarks/scale.py`), so that its peak memory is that of planning alone.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from unittest.mock import patch

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lloco_core.config import CorpusConfig, StoreConfig
from lloco_core.corpus.sources import corpus_uri
from lloco_core.objects import ObjectInfo
from lloco_core.planning import plan_corpus
from lloco_core.planning.plan import Plan
from lloco_core.store import schema
from lloco_core.store.tables import Store

CORPUS = "s3://benchmark/corpus"
ENCODER = "encoder-1"
SUMMARY, HIDDEN, DIMENSION = 1, 8, 8
"""Shapes of a store whose vectors are not looked at."""
BATCH = 50_000
CHANGED = 100
"""One object in so many has another etag in a changed inventory."""
SHARDS_READ = 20
MEDIAN_BYTES = 8_000


def write_inventory(path: str, n_objects: int, is_changed: bool = False) -> None:
    """An inventory in Parquet with key, size, and etag, in no order of the keys, as S3 writes it."""
    fields = pa.schema([("key", pa.string()), ("size", pa.int64()), ("etag", pa.string())])
    order = np.random.default_rng(0).permutation(n_objects)
    with pq.ParquetWriter(path, fields) as file:
        for start in range(0, n_objects, BATCH):
            numbers = order[start : start + BATCH]
            keys = pc.binary_join_element_wise(CORPUS.rpartition("/")[2], paths(numbers), "/")
            file.write_table(pa.table([keys, sizes(numbers), etags(numbers, is_changed)], schema=fields))


def paths(numbers: np.ndarray) -> pa.Array:
    """Paths below the corpus, in 100 groups."""
    return pa.array([f"group-{number % 100:02d}/{number // 100_000:03d}/document-{number:09d}.txt" for number in numbers.tolist()])


def sizes(numbers: np.ndarray) -> pa.Array:
    """Log-normal, as the sizes of texts are."""
    spread = np.random.default_rng(int(numbers[0])).lognormal(0, 1, len(numbers))
    return pa.array((MEDIAN_BYTES * spread).astype(np.int64) + 1)


def etags(numbers: np.ndarray, is_changed: bool) -> pa.Array:
    """32 hexadecimal digits, as S3 gives them."""
    mixed = np.where((numbers % CHANGED == 0) & is_changed, numbers + 1_000_003, numbers).astype(np.uint64)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    return pa.array([f"{value:016x}{value ^ 0xA5A5A5A5A5A5A5A5:016x}" for value in mixed.tolist()])


def fill_store(store_uri: str, n_objects: int, rows_per_file: int = BATCH) -> None:
    """Make a store that has every object of the inventory as one active document."""
    store = Store(store_uri)
    store.create_tables(SUMMARY, HIDDEN, DIMENSION)
    batches = pa.RecordBatchReader.from_batches(schema.DOCUMENTS, _document_batches(n_objects))
    lance.write_dataset(batches, store.table_uri("documents"), mode="append", max_rows_per_file=rows_per_file)


def _document_batches(n_objects: int) -> Iterator[pa.RecordBatch]:
    corpus = corpus_uri(CorpusConfig(uri=CORPUS))
    for start in range(0, n_objects, BATCH):
        numbers = np.arange(start, min(start + BATCH, n_objects))
        tokens = etags(numbers, is_changed=False)
        uris = pc.binary_join_element_wise(CORPUS, paths(numbers), "/")
        known = {
            "doc_id": pc.utf8_slice_codeunits(tokens, 0, 32),
            "version_id": pc.utf8_slice_codeunits(tokens, 0, 32),
            "uri": uris,
            "source_uri": uris,
            "etag": tokens,
            "content_hash": tokens,
            "group_id": pc.utf8_slice_codeunits(paths(numbers), 0, 8),
        }
        constant = {
            "media_type": "text/plain",
            "n_chars": MEDIAN_BYTES,
            "n_tokens": MEDIAN_BYTES // 4,
            "n_segments": 2,
            "metadata": "{}",
            "status": "active",
            "encoder_fingerprint": ENCODER,
            "shard_id": "plan-000000",
            "run_id": "run",
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            "corpus_uri": corpus,
        }
        columns = [
            known[field.name] if field.name in known else pa.repeat(pa.scalar(constant.get(field.name), field.type), len(numbers))
            for field in schema.DOCUMENTS
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema.DOCUMENTS)


def plan_inventory(store_uri: str, inventory: str, encoder: str = ENCODER) -> dict[str, float]:
    """Plan the objects of an inventory; seconds, peak memory, and the seconds it takes a worker to read one of its shards."""
    store = Store(store_uri)
    store.create_tables(SUMMARY, HIDDEN, DIMENSION)
    return _planned(store, CorpusConfig(uri=CORPUS, inventory=inventory), encoder)


def plan_listing(store_uri: str, n_objects: int) -> dict[str, float]:
    """Plan objects as a bucket's listing gives them. The time of its answers is not in it, that of making them up is."""

    def listed(self: object, prefix: str = "") -> Iterator[ObjectInfo]:
        for start in range(0, n_objects, 1_000):  # of a page
            numbers = np.arange(start, min(start + 1_000, n_objects))
            columns = paths(numbers), etags(numbers, is_changed=False), sizes(numbers)
            yield from map(ObjectInfo, *(column.to_pylist() for column in columns))

    store = Store(store_uri)
    store.create_tables(SUMMARY, HIDDEN, DIMENSION)
    with patch("lloco_core.objects.s3.S3Objects.list", listed):
        return _planned(store, CorpusConfig(uri=CORPUS), ENCODER)


def _planned(store: Store, corpus: CorpusConfig, encoder: str) -> dict[str, float]:
    started = time.perf_counter()
    plan = plan_corpus(corpus, StoreConfig(uri=store.root), store, encoder)
    seconds, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "objects": plan.n_objects,
        "unchanged": plan.n_unchanged,
        "shards": plan.n_shards,
        "seconds": round(seconds, 2),
        "peak_mb": round(peak / 1024),
        "shard_read_seconds": _shard_read_seconds(plan),
    }


def _shard_read_seconds(plan: Plan) -> float | None:
    """Median over shards spread through the plan."""
    seconds = []
    for number in range(0, plan.n_shards, max(1, plan.n_shards // SHARDS_READ)):
        started = time.perf_counter()
        plan.shards[number]
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds), 4) if seconds else None
