"""What a commit costs in a store that already holds many documents: four shards of new documents, and four of changed ones."""

from __future__ import annotations

import statistics
import time

import lance
import numpy as np
import pyarrow as pa

from benchmarks.planning import BATCH, CORPUS, DIMENSION, ENCODER, HIDDEN, SUMMARY, etags, fill_store, paths
from lloco_core.fingerprint import digest
from lloco_core.store import schema
from lloco_core.store.commit import Committer, begin_plan
from lloco_core.store.index import build_indices
from lloco_core.store.lease import CommitLease
from lloco_core.store.records import ShardRecord
from lloco_core.store.tables import Store
from lloco_core.store.write import Writing, write_shard
from lloco_core.types import CompressedDocument, CompressedShard, Document, KnownDocument, Passage, Segment, Shard, SourceObject

SHARDS, DOCUMENTS_PER_SHARD = 4, 64
"""Of a commit."""
COMMITS = 5


def commit_into(store_uri: str, n_documents: int, rows_per_file: int) -> dict[str, float]:
    """Fill a store, index it, and commit to it; medians of several commits of each kind."""
    fill_store(store_uri, n_documents, rows_per_file)
    store = Store(store_uri)
    _fill_vectors(store, n_documents, rows_per_file)
    build_indices(store)
    found = {"documents": n_documents, "files": len(store.dataset("documents").get_fragments())}
    with CommitLease(store.objects, "run", 600) as lease:
        for kind in ("new", "changed"):
            committer = Committer(store, lease, begin_plan(store, kind, "run", SHARDS * COMMITS))
            seconds = [_seconds(committer, _write(store, kind, number, n_documents)) for number in range(COMMITS)]
            found[f"{kind}_seconds"] = round(statistics.median(seconds), 3)
    if (active := store.dataset("documents").count_rows("status = 'active'")) != n_documents + SHARDS * DOCUMENTS_PER_SHARD * COMMITS:
        raise SystemExit(f"{store_uri} has {active} active documents after {COMMITS} commits of each kind to {n_documents}")
    return found


def _seconds(committer: Committer, records: list[ShardRecord]) -> float:
    started = time.perf_counter()
    committer.commit(records)
    return time.perf_counter() - started


def _write(store: Store, kind: str, commit: int, n_documents: int) -> list[ShardRecord]:
    writing = Writing("run", ENCODER, SUMMARY)
    size = SHARDS * DOCUMENTS_PER_SHARD  # every commit changes others: what is known of a document is what the store was filled with
    numbers = np.random.default_rng(0).permutation(n_documents)[commit * size : (commit + 1) * size] + (n_documents if kind == "new" else 0)
    parts = enumerate(np.split(numbers, SHARDS), commit * SHARDS)
    return [write_shard(store, _shard(kind, number, part, is_known=kind == "changed"), writing) for number, part in parts]


def _shard(plan_id: str, number: int, numbers: np.ndarray, is_known: bool) -> CompressedShard:
    names = zip(etags(numbers, is_changed=False).to_pylist(), paths(numbers).to_pylist(), strict=True)
    documents = [_document(doc_id, f"{CORPUS}/{path}", f"{plan_id} {number}") for doc_id, path in names]
    objects = tuple(SourceObject(item.document.uri, item.document.etag, 1, item.document.title) for item in documents)
    known = {item.document.doc_id: _known(item.document) for item in documents} if is_known else {}
    return CompressedShard(Shard(plan_id, f"{plan_id}-{number:06d}", objects, known), documents, [], [], 1.0)


def _known(document: Document) -> KnownDocument:
    doc_id, uri = document.doc_id, document.uri
    return KnownDocument(doc_id, doc_id, doc_id, "group-00", ENCODER, 1, 1, uri, uri, doc_id)


def _document(doc_id: str, uri: str, text: str) -> CompressedDocument:
    document = Document(doc_id, uri, digest(text), text, digest(text), doc_id, "text/plain", group="group-00")
    segment = Segment(0, digest(text), 0, 1, 0, len(text), np.ones((SUMMARY, HIDDEN), np.float16))
    return CompressedDocument(document, "group-00", 1, 1, [segment], [Passage(0, 0, len(text), text)], np.ones((1, DIMENSION), np.float32))


def _fill_vectors(store: Store, n_documents: int, rows_per_file: int) -> None:
    """One segment and one passage for every document of the store."""
    for name, table in (("segments", schema.segments_schema(SUMMARY, HIDDEN)), ("passages", schema.passages_schema(DIMENSION))):
        batches = (_rows(table, start, min(start + BATCH, n_documents)) for start in range(0, n_documents, BATCH))
        reader = pa.RecordBatchReader.from_batches(table, batches)
        lance.write_dataset(reader, store.table_uri(name), mode="append", max_rows_per_file=rows_per_file)


def _rows(table: pa.Schema, start: int, end: int) -> pa.RecordBatch:
    ids = etags(np.arange(start, end), is_changed=False)
    constant = {"group_id": "group-00", "text": "a text", "prefix_hash": "0" * 32, "passage_index": 0, "segment_index": 0}
    columns = []
    for field in table:
        if field.name in ("doc_id", "version_id"):
            columns.append(ids)
        elif pa.types.is_fixed_size_list(field.type):
            values = np.random.default_rng(start).standard_normal((end - start) * field.type.list_size, np.float32)
            numbers = pa.array(values.astype(field.type.value_type.to_pandas_dtype()))
            columns.append(pa.FixedSizeListArray.from_arrays(numbers, field.type.list_size))
        else:
            columns.append(pa.repeat(pa.scalar(constant.get(field.name, 1), field.type), end - start))
    return pa.RecordBatch.from_arrays(columns, schema=table)
