"""The Arrow schemas of all tables, the only place where columns are defined. Never inferred, no extension types.

Vectors are flat fixed-size lists: nested ones are written by Lance but cannot be read back in file formats 2.1 and 2.2.
A *night* is a consistent set of table versions and adapters, recorded in the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from lloco_core.store.vectors import LARGEST, METADATA_KEY, STORED_DTYPES

if TYPE_CHECKING:
    from lloco_core.config import VectorFormat

TIMESTAMP = pa.timestamp("us", tz="UTC")

DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("version_id", pa.string(), nullable=False),  # document, content, and encoder: joins the other tables
        pa.field("uri", pa.string(), nullable=False),
        pa.field("source_uri", pa.string(), nullable=False),  # the listed object: the container of a row, else the uri
        pa.field("etag", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("media_type", pa.string()),
        pa.field("n_chars", pa.int64()),
        pa.field("n_tokens", pa.int64()),
        pa.field("n_segments", pa.int32()),
        pa.field("page_starts", pa.list_(pa.int32())),
        pa.field("metadata", pa.string()),  # JSON
        pa.field("status", pa.string(), nullable=False),  # active | staged | superseded | deleted; readers see active rows
        pa.field("encoder_fingerprint", pa.string(), nullable=False),
        pa.field("shard_id", pa.string(), nullable=False),
        pa.field("run_id", pa.string()),
        pa.field("created_at", TIMESTAMP),
        pa.field("corpus_uri", pa.string()),  # where it was listed; null in rows of 0.1
    ]
)

QUARANTINE = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("message", pa.string()),
        pa.field("first_seen", TIMESTAMP),
        pa.field("last_seen", TIMESTAMP),
        pa.field("attempts", pa.int32()),
        pa.field("run_id", pa.string()),
        pa.field("corpus_uri", pa.string()),
        pa.field("doc_id", pa.string()),  # where it is known before anything was read: of an id that another document has
        pa.field("n_documents", pa.int64()),  # documents that are lost by it; null in rows of earlier releases: one
    ]
)

LEDGER = pa.schema(
    [
        pa.field("entry", pa.string(), nullable=False),  # shard | night
        pa.field("plan_id", pa.string()),
        pa.field("shard_id", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("n_documents", pa.int64()),
        pa.field("n_segments", pa.int64()),
        pa.field("n_passages", pa.int64()),
        pa.field("n_tokens", pa.int64()),
        pa.field("n_quarantined", pa.int64()),
        pa.field("encode_seconds", pa.float64()),
        pa.field("documents_version", pa.int64()),  # versions of a night; of a shard: the versions that hold it
        pa.field("segments_version", pa.int64()),
        pa.field("passages_version", pa.int64()),
        pa.field("adapters", pa.string()),  # JSON of a night: group -> adapter_id; its newest row counts
        pa.field("code", pa.string()),  # git commit of the code
        pa.field("committed_at", TIMESTAMP),
        pa.field("group_tokens", pa.string()),  # JSON: group -> encoded tokens
    ]
)

ADAPTERS = pa.schema(
    [
        pa.field("adapter_id", pa.string(), nullable=False),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("parent", pa.string()),
        pa.field("night", pa.string()),
        pa.field("encoder_fingerprint", pa.string(), nullable=False),
        pa.field("base_model", pa.string()),
        pa.field("recipe", pa.string()),  # JSON
        pa.field("metrics", pa.string()),  # JSON
        pa.field("gate", pa.string()),
        pa.field("status", pa.string(), nullable=False),  # registered | rejected; which one is active: registry.active
        pa.field("n_documents", pa.int64()),
        pa.field("n_examples", pa.int64()),
        pa.field("files", pa.string()),  # JSON: name -> sha256
        pa.field("created_at", TIMESTAMP),
    ]
)


def segments_schema(summary_length: int, hidden_size: int, vectors: VectorFormat = "float16") -> pa.Schema:
    """One row per (document version, segment) with its vectors as a flat list of S * H numbers, and S scales where the format has them."""
    numbers = pa.list_(pa.from_numpy_dtype(STORED_DTYPES[vectors]), summary_length * hidden_size)
    scales = [pa.field("summary_scale", pa.list_(pa.float32(), summary_length), nullable=False)] if vectors in LARGEST else []
    return pa.schema(
        [
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("version_id", pa.string(), nullable=False),
            pa.field("segment_index", pa.int32(), nullable=False),
            pa.field("prefix_hash", pa.string(), nullable=False),
            pa.field("token_start", pa.int64()),
            pa.field("token_end", pa.int64()),
            pa.field("char_start", pa.int64()),
            pa.field("char_end", pa.int64()),
            pa.field("summary", numbers, nullable=False),
            *scales,
        ],
        metadata={"summary_length": str(summary_length), "hidden_size": str(hidden_size), METADATA_KEY: vectors},
    )


def passages_schema(dimension: int) -> pa.Schema:
    """One row per retrieval passage; the passages of a document cover its text without gap or overlap."""
    return pa.schema(
        [
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("version_id", pa.string(), nullable=False),
            pa.field("group_id", pa.string(), nullable=False),
            pa.field("passage_index", pa.int32(), nullable=False),
            pa.field("segment_index", pa.int32(), nullable=False),
            pa.field("char_start", pa.int64()),
            pa.field("char_end", pa.int64()),
            pa.field("text", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
        ]
    )
