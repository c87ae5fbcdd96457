"""The records that travel through the pipeline, in the order a document meets them.

SourceObject -> Document -> TokenizedDocument -> CompressedDocument, grouped in shards. All are frozen and picklable;
arrays are numpy so that no worker needs torch to read or write them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


UNGROUPED = "ungrouped"
"""Group of a document without one in a store without clusters."""


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One file or object of a corpus as listed, before anything of it was read."""

    uri: str
    """Canonical URI: `file:///...` or `s3://bucket/key`."""
    etag: str
    """Changes whenever the content may have changed."""
    size: int
    """Bytes as stored (compressed size for .gz and .zst)."""
    relative_path: str
    """Path below the corpus root, `/` separated: the source of folder groups and titles."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What a manifest says about it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One readable document: normalised text with its identity."""

    doc_id: str
    """Stable over runs: a hash of the URI (with `#row-N` for rows of a container), or the id the corpus gives."""
    uri: str
    etag: str
    text: str
    content_hash: str
    """Hash of the normalised text."""
    title: str
    media_type: str
    page_starts: tuple[int, ...] = ()
    """Character offsets in `text` at which pages begin; empty where the format has no pages."""
    group: str | None = None
    """Group from folder or metadata; None when groups are found by clustering."""
    metadata: dict[str, Any] = field(default_factory=dict)
    n_pages_without_text: int = 0
    """Pages of a PDF that hold no text, such as scans; stored as `pages_without_text` of its metadata."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A document that could not be read or encoded, with the reason."""

    uri: str
    etag: str
    stage: str
    """`list`, `read`, `parse`, `tokenize`, or `encode`."""
    code: str
    """Reason code, stable enough to alert on, such as `empty` or `pdf_damaged`."""
    message: str
    """What was found, the value, and the next step."""
    n_documents: int = 1
    """Documents that are lost by it: more than one where the rows of a container could not be read."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A contiguous piece of a document's text; the passages of a document cover it without gap or overlap."""

    index: int
    char_start: int
    char_end: int
    text: str


@dataclass(frozen=True, slots=True)
class TokenizedDocument:
    """A document with its token ids [T] and the character range of every token [T, 2]."""

    document: Document
    token_ids: np.ndarray
    token_chars: np.ndarray
    kept: KeptSegments | None = None
    """What the stored version of the document has in common with these tokens; None: nothing."""


@dataclass(frozen=True, slots=True)
class KeptSegments:
    """The leading segments of a document's stored version that its new text has unchanged; at least one."""

    prefix_hashes: tuple[str, ...]
    summaries: np.ndarray
    """[n, S, H] float16, as stored."""


@dataclass(frozen=True, slots=True)
class CompressedDocument:
    """A document with everything the store keeps of it."""

    document: Document
    group: str
    n_tokens: int
    n_encoded_tokens: int
    """Tokens that went through the encoder; the rest is in segments kept from the stored version."""
    segments: list[Segment]
    passages: list[Passage]
    passage_vectors: np.ndarray
    """[n_passages, D] float32, unit length."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One encoded segment: its place in the document and its summary vectors [S, H]."""

    index: int
    prefix_hash: str
    token_start: int
    token_end: int
    char_start: int
    char_end: int
    summary: np.ndarray


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """What the store already holds of a document: the version of the plan's encoder if there is one, else the one readers see."""

    doc_id: str
    version_id: str
    content_hash: str
    group: str
    encoder_fingerprint: str
    n_tokens: int
    n_segments: int
    uri: str = ""
    source_uri: str = ""
    """The object it was read from."""
    active_version: str = ""
    """The version that readers see; another one while a new encoder's vectors are staged."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A fixed share of a plan: the unit of encoding, retry, and commit."""

    plan_id: str
    shard_id: str
    objects: tuple[SourceObject, ...]
    known: dict[str, KnownDocument] = field(default_factory=dict)
    """doc_id -> what is stored of the documents of these objects: equal text is not encoded again, other rows are replaced."""


@dataclass(frozen=True, slots=True)
class RemovedDocuments:
    """Documents whose object is gone: a part of a plan without anything to encode."""

    shard_id: str
    versions: dict[str, str]
    """version_id -> doc_id."""
    source_uris: tuple[str, ...]
    """The objects that are gone, also those that were in quarantine only."""


@dataclass(frozen=True, slots=True)
class TokenizedShard:
    """A shard after reading, parsing, and tokenising."""

    shard: Shard
    documents: list[TokenizedDocument]
    unchanged: list[Document]
    """Documents whose object changed but whose text did not."""
    rejections: list[Rejection]


@dataclass(frozen=True, slots=True)
class CompressedShard:
    """A shard after encoding, ready to be written."""

    shard: Shard
    documents: list[CompressedDocument]
    unchanged: list[Document]
    rejections: list[Rejection]
    encode_seconds: float
    """Seconds the device (the GPU, where there is one) computed for this shard; over the shards of an encoder they add up."""
    encoder_id: str = ""
    """The loaded encoder that did it; empty where there was nothing to encode."""
    encode_started: float | None = None
    """Unix seconds at which the encoder received the documents."""
    encode_ended: float | None = None
    """Unix seconds at which it had finished the last of them."""
    attempts: int = 1
    """Attempts at encoding this shard, the successful one included."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question about one document, with the answer to learn."""

    doc_id: str
    question: str
    answer: str
