"""What the store path makes of the rate at which Lance appends: random vectors of a 7B model, written and committed as a night does.

Both sides have the same segment vectors before the clock starts, write files of the same size, and end when the rows are committed; a
first shard that is not counted has loaded what is loaded once. Plain Lance is given ready Arrow rows; the store path makes them, and writes
passages, documents, shard records, and the ledger as well.
"""

from __future__ import annotations

import os
import time

import lance
import numpy as np
import pyarrow as pa

from lloco_core.fingerprint import digest
from lloco_core.store import schema
from lloco_core.store.commit import Committer, begin_plan
from lloco_core.store.lease import CommitLease
from lloco_core.store.tables import Store
from lloco_core.store.write import MAX_ROWS_PER_FILE, Writing, write_shard
from lloco_core.types import CompressedDocument, CompressedShard, Document, Passage, Segment, Shard, SourceObject

SUMMARY, HIDDEN, DIMENSION = 50, 4096, 384
ROW_BYTES = SUMMARY * HIDDEN * 2
DOCUMENTS_PER_SHARD, SEGMENTS, SEGMENT_TOKENS = 64, 5, 1536
PASSAGE_CHARS, PASSAGES = 800, 40
"""Of a document of five segments."""
PLAN = "throughput"


def store_path(folder: str, n_shards: int) -> dict[str, float]:
    """Write shards and commit them, four at a time."""
    shards = [_shard(number) for number in range(n_shards)]
    _write_and_commit(f"{folder}/warm", shards[:1])
    return _write_and_commit(f"{folder}/store", shards)


def _write_and_commit(uri: str, shards: list[CompressedShard]) -> dict[str, float]:
    store = Store(uri)
    store.create_tables(SUMMARY, HIDDEN, DIMENSION)
    writing = Writing("run-1", "encoder-1", SUMMARY, "file:///corpus")
    os.sync()
    started = time.perf_counter()
    with CommitLease(store.objects, "run-1", 600) as lease:
        committer = Committer(store, lease, begin_plan(store, PLAN, "run-1", len(shards)))
        for start in range(0, len(shards), 4):
            committer.commit([write_shard(store, shard, writing) for shard in shards[start : start + 4]])
        committer.close()
    return _rate(store.table_uri("segments"), time.perf_counter() - started)


def plain_lance(folder: str, n_shards: int) -> dict[str, float]:
    """Append the same segment rows to a table, a shard at a time."""
    tables = [_segment_rows(_shard(number)) for number in range(n_shards)]
    _append(f"{folder}/warm.lance", tables[:1])
    return _append(f"{folder}/segments.lance", tables)


def _append(uri: str, tables: list[pa.Table]) -> dict[str, float]:
    lance.write_dataset(tables[0].schema.empty_table(), uri)
    os.sync()
    started = time.perf_counter()
    for table in tables:
        lance.write_dataset(table, uri, mode="append", max_rows_per_file=MAX_ROWS_PER_FILE)
    return _rate(uri, time.perf_counter() - started)


def _rate(uri: str, seconds: float) -> dict[str, float]:
    megabytes = lance.dataset(uri).count_rows() * ROW_BYTES / 1e6
    return {"megabytes": round(megabytes), "seconds": round(seconds, 3), "megabytes_per_second": round(megabytes / seconds, 1)}


def _shard(number: int) -> CompressedShard:
    documents = [_document(number * DOCUMENTS_PER_SHARD + place) for place in range(DOCUMENTS_PER_SHARD)]
    objects = tuple(SourceObject(item.document.uri, item.document.etag, len(item.document.text), item.document.title) for item in documents)
    return CompressedShard(Shard(PLAN, f"{PLAN}-{number:06d}", objects), documents, [], [], 1.0)


def _document(number: int) -> CompressedDocument:
    """A document as the encoder gives it: one array, whose parts the segments are."""
    random = np.random.default_rng(number)
    uri, length = f"file:///corpus/document-{number}.txt", PASSAGES * PASSAGE_CHARS
    text = f"{number:08x}" * (length // 8)
    vectors = random.standard_normal((SEGMENTS, SUMMARY, HIDDEN), np.float32).astype(np.float16)
    bounds = [(start * length // SEGMENTS, (start + 1) * length // SEGMENTS) for start in range(SEGMENTS)]
    segments = [
        Segment(
            index, digest([number, index]), index * SEGMENT_TOKENS, (index + 1) * SEGMENT_TOKENS, *bounds[index], summary=vectors[index]
        )
        for index in range(SEGMENTS)
    ]
    starts = range(0, length, PASSAGE_CHARS)
    passages = [Passage(index, start, start + PASSAGE_CHARS, text[start : start + PASSAGE_CHARS]) for index, start in enumerate(starts)]
    document = Document(digest(uri), uri, digest([number]), text, digest(text), f"document-{number}.txt", "text/plain", group="group")
    n_tokens = SEGMENTS * SEGMENT_TOKENS
    return CompressedDocument(
        document, "group", n_tokens, n_tokens, segments, passages, random.standard_normal((PASSAGES, DIMENSION), np.float32)
    )


def _segment_rows(shard: CompressedShard) -> pa.Table:
    rows = [(item.document.doc_id, segment) for item in shard.documents for segment in item.segments]
    vectors = [pa.array(segment.summary.reshape(-1)) for _, segment in rows]
    columns = {
        "doc_id": [doc_id for doc_id, _ in rows],
        "version_id": [doc_id for doc_id, _ in rows],
        "segment_index": [segment.index for _, segment in rows],
        "prefix_hash": [segment.prefix_hash for _, segment in rows],
        "token_start": [segment.token_start for _, segment in rows],
        "token_end": [segment.token_end for _, segment in rows],
        "char_start": [segment.char_start for _, segment in rows],
        "char_end": [segment.char_end for _, segment in rows],
        "summary": pa.chunked_array([pa.FixedSizeListArray.from_arrays(numbers, SUMMARY * HIDDEN) for numbers in vectors]),
    }
    return pa.table(columns, schema=schema.segments_schema(SUMMARY, HIDDEN))
