"""The worker's side of storing: a compressed shard becomes uncommitted fragments and one shard record.

Nothing written here is visible to readers. `store.commit` makes it visible, once.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from lance.fragment import write_fragments

from lloco_core.fingerprint import digest
from lloco_core.store import schema
from lloco_core.store.records import ShardRecord, save_record
from lloco_core.store.vectors import format_of, pack
from lloco_core.types import CompressedDocument, CompressedShard, Document

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from lloco_core.store.tables import Store

MAX_ROWS_PER_FILE = 2048
"""About 0.8 GB of vectors of a 7B model; larger files need more memory to compact."""


def version_id(doc_id: str, source_uri: str, content_hash: str, group: str, encoder_fingerprint: str) -> str:
    """Name of a document version: joins `documents`, `segments`, and `passages`. A document that moved to another object is another
    version, so that removing the old one leaves the new one alone."""
    return digest([doc_id, source_uri, content_hash, group, encoder_fingerprint])


@dataclass(frozen=True, slots=True)
class Writing:
    """What the rows of a run have in common."""

    run_id: str
    encoder_fingerprint: str
    summary_length: int
    corpus_uri: str = ""
    staged_groups: frozenset[str] = frozenset()
    """Groups that readers see with vectors of another encoder: their documents are written as `staged`."""

    def status_in(self, group: str) -> str:
        """Status of a document that is written into a group."""
        return "staged" if group in self.staged_groups else "active"


def write_shard(store: Store, shard: CompressedShard, writing: Writing) -> ShardRecord:
    """Write a shard's fragments, then create its record. A repeated attempt returns the first attempt's record."""
    found = store.dataset("segments").schema
    hidden_size = found.field("summary").type.list_size // writing.summary_length
    segments_schema = schema.segments_schema(writing.summary_length, hidden_size, format_of(found))
    dimension = store.dataset("passages").schema.field("vector").type.list_size
    versions = _versions(shard, writing.encoder_fingerprint)
    builders = {
        "segments": partial(_segments, shard.documents, versions, segments_schema),
        "passages": partial(_passages, shard.documents, versions, schema.passages_schema(dimension)),
        "documents": partial(_documents, shard, versions, writing),
    }
    tables, fragments = _write_tables(store, builders)
    rows = tables["documents"].select(["doc_id", "source_uri", "status"]).to_pylist()
    record = ShardRecord(
        plan_id=shard.shard.plan_id,
        shard_id=shard.shard.shard_id,
        run_id=writing.run_id,
        n_documents=len(shard.documents),
        n_segments=tables["segments"].num_rows,
        n_passages=tables["passages"].num_rows,
        n_tokens=sum(document.n_tokens for document in shard.documents),
        n_encoded_tokens=sum(document.n_encoded_tokens for document in shard.documents),
        n_unchanged=len(shard.unchanged),
        encode_seconds=shard.encode_seconds,
        fragments=fragments,
        source_uris=tuple(source.uri for source in shard.shard.objects),
        retired=_retired(shard, rows),
        removed=removed_rows(shard),
        corpus_uri=writing.corpus_uri,
        rejections=tuple(shard.rejections),
        encoder_id=shard.encoder_id,
        encode_started=shard.encode_started,
        encode_ended=shard.encode_ended,
        n_bytes=sum(source.size for source in shard.shard.objects),
        attempts=shard.attempts,
        group_tokens=_group_tokens(shard.documents),
        n_pages_without_text=sum(item.document.n_pages_without_text for item in shard.documents),
    )
    return save_record(store.objects, record)


def _group_tokens(documents: list[CompressedDocument]) -> dict[str, int]:
    tokens: Counter[str] = Counter()
    for document in documents:
        tokens[document.group] += document.n_encoded_tokens
    return dict(+tokens)


def removed_rows(shard: CompressedShard) -> dict[str, str]:
    """version_id -> doc_id of documents that were in these objects before and are no longer.

    An object with anything unreadable in it keeps its documents: the missing ones may be what could not be read.
    """
    sources = {source.uri for source in shard.shard.objects}
    documents = [*(item.document for item in shard.documents), *shard.unchanged]
    read = {(document.doc_id, _source_of(document, sources)) for document in documents}
    doubtful = {uri for item in shard.rejections for uri in (item.uri, item.uri.rpartition("#")[0])}
    gone = [
        known
        for known in shard.shard.known.values()
        if known.source_uri in sources - doubtful and (known.doc_id, known.source_uri) not in read
    ]
    return {version: known.doc_id for known in gone for version in filter(None, (known.version_id, known.active_version))}


def _retired(shard: CompressedShard, rows: list[dict[str, Any]]) -> dict[str, str]:
    """version_id -> doc_id of what the written rows replace. A staged row leaves the version that readers see beside it."""
    retired = {}
    for row in rows:
        known = shard.shard.known.get(row["doc_id"])
        if known is not None and known.source_uri == row["source_uri"]:
            older = {known.version_id, known.active_version} - {"", known.active_version if row["status"] == "staged" else ""}
            retired |= dict.fromkeys(sorted(older), known.doc_id)
    return retired


def _write_tables(store: Store, builders: dict[str, Callable[[], pa.Table]]) -> tuple[dict[str, pa.Table], dict[str, list[dict[str, Any]]]]:
    """Build the tables, each written while the next is built; fragments of those that have rows."""
    tables, written = {}, {}
    with ThreadPoolExecutor(len(builders)) as writers:
        for name, build in builders.items():
            tables[name] = build()
            if tables[name].num_rows:
                written[name] = writers.submit(_write, store, name, tables[name])
    return tables, {name: fragments.result() for name, fragments in written.items()}


def _write(store: Store, name: str, table: pa.Table) -> list[dict[str, Any]]:
    written = write_fragments(
        table,
        store.table_uri(name),
        schema=table.schema,
        mode="append",
        max_rows_per_file=MAX_ROWS_PER_FILE,
        storage_options=store.storage_options,
    )
    return [fragment.to_json() for fragment in written]


def _segments(documents: list[CompressedDocument], versions: dict[str, str], table_schema: pa.Schema) -> pa.Table:
    rows = [(document, segment) for document in documents for segment in document.segments]
    if not rows:
        return table_schema.empty_table()
    packed = [pack(segment.summary, format_of(table_schema)) for _, segment in rows]
    columns = {
        "doc_id": [document.document.doc_id for document, _ in rows],
        "version_id": [versions[document.document.uri] for document, _ in rows],
        "segment_index": [segment.index for _, segment in rows],
        "prefix_hash": [segment.prefix_hash for _, segment in rows],
        "token_start": [segment.token_start for _, segment in rows],
        "token_end": [segment.token_end for _, segment in rows],
        "char_start": [segment.char_start for _, segment in rows],
        "char_end": [segment.char_end for _, segment in rows],
        "summary": _fixed_size_lists([values for values, _ in packed]),
    }
    if packed[0][1] is not None:
        columns["summary_scale"] = _fixed_size_lists([scales for _, scales in packed])
    return pa.table(columns, schema=table_schema)


def _fixed_size_lists(rows: list[np.ndarray]) -> pa.ChunkedArray:
    """A list per array, without a copy: vectors are most of what a shard is."""
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(pa.array(row.reshape(-1)), row.size) for row in rows])


def _passages(documents: list[CompressedDocument], versions: dict[str, str], table_schema: pa.Schema) -> pa.Table:
    rows = [(document, passage) for document in documents for passage in document.passages]
    if not rows:
        return table_schema.empty_table()
    vectors = np.concatenate([document.passage_vectors for document in documents]).astype(np.float32, copy=False)
    columns = {
        "doc_id": [document.document.doc_id for document, _ in rows],
        "version_id": [versions[document.document.uri] for document, _ in rows],
        "group_id": [document.group for document, _ in rows],
        "passage_index": [passage.index for _, passage in rows],
        "segment_index": [_segment_at(document, passage.char_start) for document, passage in rows],
        "char_start": [passage.char_start for _, passage in rows],
        "char_end": [passage.char_end for _, passage in rows],
        "text": [passage.text for _, passage in rows],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
    }
    return pa.table(columns, schema=table_schema)


def _versions(shard: CompressedShard, fingerprint: str) -> dict[str, str]:
    """Version of every document of a shard, by URI. An unchanged one keeps its own, which its segments and passages carry."""
    versions = {document.uri: shard.shard.known[document.doc_id].version_id for document in shard.unchanged}
    sources = {source.uri for source in shard.shard.objects}
    for item in shard.documents:
        document = item.document
        source = _source_of(document, sources)
        versions[document.uri] = version_id(document.doc_id, source, document.content_hash, item.group, fingerprint)
    return versions


def _source_of(document: Document, sources: Container[str]) -> str:
    """The listed object of a document: itself, or the container that it is a row of."""
    return document.uri if document.uri in sources else document.uri.rpartition("#")[0]


def _segment_at(document: CompressedDocument, char: int) -> int:
    return max(0, bisect_right(document.segments, char, key=attrgetter("char_start")) - 1)


def _documents(shard: CompressedShard, versions: dict[str, str], writing: Writing) -> pa.Table:
    sources = {source.uri for source in shard.shard.objects}
    rows = [
        _document_row(document.document, document.group, document.n_tokens, len(document.segments), sources) for document in shard.documents
    ]
    for document in shard.unchanged:
        known = shard.shard.known[document.doc_id]
        rows.append(_document_row(document, known.group, known.n_tokens, known.n_segments, sources))
    now = datetime.now(UTC)
    common = {
        "encoder_fingerprint": writing.encoder_fingerprint,
        "corpus_uri": writing.corpus_uri or None,
        "shard_id": shard.shard.shard_id,
        "run_id": writing.run_id,
        "created_at": now,
    }
    for row in rows:
        row |= common | {"version_id": versions[row["uri"]], "status": writing.status_in(row["group_id"])}
    return pa.Table.from_pylist(rows, schema=schema.DOCUMENTS)


def _document_row(document: Document, group: str, n_tokens: int, n_segments: int, sources: Container[str]) -> dict[str, Any]:
    return {
        "doc_id": document.doc_id,
        "uri": document.uri,
        "source_uri": _source_of(document, sources),
        "etag": document.etag,
        "content_hash": document.content_hash,
        "group_id": group,
        "title": document.title,
        "media_type": document.media_type,
        "n_chars": len(document.text),
        "n_tokens": n_tokens,
        "n_segments": n_segments,
        "page_starts": list(document.page_starts),
        "metadata": json.dumps(document.metadata, default=str),
    }
