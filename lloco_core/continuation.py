"""Continuing a changed document after the leading segments that its stored version and its new text have in common.

A document that was renamed, or copied, has all of them in common with the stored one of the same text.

The vectors of segment k depend on segments 0..k only (`compressor.segment`), so those of unchanged leading segments are read
from the store and copied bit for bit into the new version, and the encoder goes on after them. Segments of equal length (ICAE) move
when a document grows, so of those a document keeps all or none.

What that means in numbers: the encoder's prefix is the stored float16 vectors, where a full encoding has its own. A float16
encoder has the same numbers, and so has a bfloat16 encoder but for magnitudes below 2^-14, as float16 has three more bits; a
float32 encoder sees its prefix rounded, each value by at most 2^-11 of it. Every vector is rounded once, when it is stored,
however many nights go by; at worst, for a text that grew by a segment every night, every segment follows a rounded prefix.
`tests/unit/test_changed_documents.py` holds the reference encoder to measured bounds for both cases.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lloco_core.compressor.segment import prefix_hashes
from lloco_core.errors import StorageError
from lloco_core.types import KeptSegments, TokenizedDocument

if TYPE_CHECKING:
    from lloco_core.compressor import ContextEncoder
    from lloco_core.compressor.segment import Segmentation
    from lloco_core.store.documents import StoredDocuments
    from lloco_core.store.segments import StoredSegments, StoredVersion
    from lloco_core.store.tables import Store
    from lloco_core.types import KnownDocument, Shard

logger = logging.getLogger(__name__)


class Continuation:
    """Finds what changed, renamed, and copied documents keep. Belongs to a plan: it reads the tables that the plan was made with."""

    def __init__(self, documents: StoredDocuments, stored: StoredSegments, encoder_fingerprint: str, segmentation: Segmentation) -> None:
        self.documents = documents
        self.stored = stored
        self.encoder_fingerprint = encoder_fingerprint
        self.segmentation = segmentation

    def keep(self, shard: Shard, documents: list[TokenizedDocument]) -> list[TokenizedDocument]:
        """Give documents the leading segments that they still have: all of a stored document with the same text, else those of their
        own stored version.

        A store that cannot be read costs time, never a document: all are then encoded in full.
        """
        try:
            return self._keep(shard.known, documents)
        except (StorageError, OSError, ValueError, RuntimeError) as error:  # ValueError: Lance, of files that are gone
            logger.warning("shard %s: stored segments cannot be read, its documents are encoded in full: %s", shard.shard_id, error)
            return documents

    def _keep(self, known: dict[str, KnownDocument], documents: list[TokenizedDocument]) -> list[TokenizedDocument]:
        ids = {document.document.doc_id for document in documents}
        ours = {key: item for key, item in known.items() if key in ids and item.encoder_fingerprint == self.encoder_fingerprint}
        versions = self.stored.find(ours | self._with_same_text(documents))
        common = [self._common(document, versions.get(document.document.doc_id)) for document in documents]
        summaries = self.stored.summaries(sorted({row_id for found in common if found for row_id in found.row_ids}))
        return [_with_kept(document, found, summaries) for document, found in zip(documents, common, strict=True)]

    def _with_same_text(self, documents: list[TokenizedDocument]) -> dict[str, KnownDocument]:
        found = self.documents.with_content([item.document.content_hash for item in documents], self.encoder_fingerprint)
        hashes = {item.document.doc_id: item.document.content_hash for item in documents}
        return {doc_id: found[content_hash] for doc_id, content_hash in hashes.items() if content_hash in found}

    def _common(self, document: TokenizedDocument, stored: StoredVersion | None) -> StoredVersion | None:
        if stored is None:
            return None
        bounds = self.segmentation.bounds(len(document.token_ids))
        count = self.segmentation.count_kept(stored.prefix_hashes, prefix_hashes(self.encoder_fingerprint, document.token_ids, bounds))
        return stored.first(count) if count else None


def open_continuation(store: Store, base_versions: dict[str, int], encoder_fingerprint: str, segmentation: Segmentation) -> Continuation:
    """The continuation of a plan, which was made with these table versions."""
    from lloco_core.store.documents import StoredDocuments
    from lloco_core.store.segments import StoredSegments

    documents = StoredDocuments(store, base_versions["documents"])
    return Continuation(documents, StoredSegments(store, base_versions["segments"]), encoder_fingerprint, segmentation)


def _with_kept(document: TokenizedDocument, found: StoredVersion | None, summaries: dict[int, np.ndarray]) -> TokenizedDocument:
    if found is None:
        return document
    return replace(document, kept=KeptSegments(found.prefix_hashes, np.stack([summaries[row_id] for row_id in found.row_ids])))


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left to encode of a document, and what it is continued from."""

    document: TokenizedDocument
    kept: np.ndarray
    """[P, H] float16; no rows where nothing is kept."""
    token_ids: np.ndarray
    """The tokens after the kept segments; none where all segments are kept."""

    @property
    def prefix(self) -> np.ndarray | None:
        """The kept vectors as `ContextEncoder.encode` takes them."""
        return self.kept if len(self.kept) else None


def remainder_of(document: TokenizedDocument, encoder: ContextEncoder) -> Remainder:
    """Cut the kept segments off a document. Those count that have the encoder's own prefix hashes."""
    bounds = encoder.segmentation.bounds(len(document.token_ids))
    hashes = prefix_hashes(encoder.fingerprint, document.token_ids, bounds)
    count = encoder.segmentation.count_kept(document.kept.prefix_hashes, hashes) if document.kept else 0
    if not document.kept or not count:
        return Remainder(document, np.zeros((0, encoder.hidden_size), np.float16), document.token_ids)
    kept = document.kept.summaries[:count].reshape(-1, encoder.hidden_size)
    return Remainder(document, kept, document.token_ids[bounds[count - 1][1] :])
