"""A shard's way through the pipeline in three plain functions, free of Ray and Prefect.

`read_shard` (CPU) -> `compress_shard` (GPU) -> `write_shard` (network, in `store.write`). A for-loop in a test and the Ray Data
graph in `distributed.compression` call the same code. One bad document becomes a rejection and costs nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lloco_core.compressor.segment import prefix_hashes
from lloco_core.compressor.tokenizing import tokenize
from lloco_core.continuation import Remainder, remainder_of
from lloco_core.corpus.clustering import assign_clusters
from lloco_core.corpus.reading import read_documents
from lloco_core.errors import EncodingError
from lloco_core.observe.busy import EncoderMeter, EncoderUse
from lloco_core.retrieval.passages import split_passages
from lloco_core.store.forgetting.forgotten import is_forgotten
from lloco_core.store.vectors import all_finite
from lloco_core.types import (
    UNGROUPED,
    CompressedDocument,
    CompressedShard,
    Document,
    Passage,
    Rejection,
    Segment,
    Shard,
    SourceObject,
    TokenizedDocument,
    TokenizedShard,
)

if TYPE_CHECKING:
    import torch

    from lloco_core.compressor import ContextEncoder
    from lloco_core.config import CorpusConfig
    from lloco_core.continuation import Continuation
    from lloco_core.retrieval.embedder import Embedder

SAMPLE_PASSAGES = 16
"""A document is clustered by the mean embedding of its first passages."""


def read_shard(
    shard: Shard,
    corpus: CorpusConfig,
    tokenizer: Any,
    encoder_fingerprint: str,
    continuation: Continuation | None = None,
    forgotten: frozenset[str] = frozenset(),
) -> TokenizedShard:
    """Read, parse, and tokenise a shard. Documents whose stored text is equal are passed on as unchanged.

    With a continuation, changed documents get the stored segments that they still have. Forgotten documents are left out: an object
    that is not forgotten as a whole may hold some.
    """
    result = TokenizedShard(shard, [], [], [])
    for source in shard.objects:
        found_ids = set()
        for found in read_documents(source, corpus):
            if isinstance(found, Document):
                found_ids.add(found.doc_id)
            if forgotten and is_forgotten(found, forgotten):
                continue
            if isinstance(found, Rejection):
                result.rejections.append(found)
            elif _is_stored(found, source, shard, encoder_fingerprint):
                result.unchanged.append(found)
            else:
                _tokenize_into(result, found, corpus, tokenizer)
        result.rejections.extend(_too_many_missing(source, found_ids, shard, corpus))
    return replace(result, documents=continuation.keep(shard, result.documents)) if continuation else result


def _too_many_missing(source: SourceObject, found_ids: set[str], shard: Shard, corpus: CorpusConfig) -> list[Rejection]:
    """A container that lost more rows than a corpus may lose documents: it may be cut off, so its rows are kept."""
    known = {item.doc_id for item in shard.known.values() if item.source_uri == source.uri}
    missing = len(known - found_ids)
    if missing <= max(1, int(corpus.delete_rate * len(known))):
        return []
    message = (
        f"{missing} of its {len(known)} documents are missing, more than corpus.delete_rate {corpus.delete_rate} allows; they are kept. "
        "Check that it is complete; if they are meant to go, run once with --corpus.delete-rate 1 --corpus.retry-quarantined true"
    )
    return [Rejection(source.uri, source.etag, "read", "rows_missing", message)]


def _is_stored(document: Document, source: SourceObject, shard: Shard, encoder_fingerprint: str) -> bool:
    known = shard.known.get(document.doc_id)
    return (
        known is not None
        and known.source_uri == source.uri
        and known.content_hash == document.content_hash
        and known.encoder_fingerprint == encoder_fingerprint
        and document.group in (None, known.group)
    )


def _tokenize_into(result: TokenizedShard, document: Document, corpus: CorpusConfig, tokenizer: Any) -> None:
    token_ids, token_chars = tokenize(tokenizer, document.text)
    if len(token_ids) > corpus.max_tokens:
        message = f"{len(token_ids):,} tokens, the limit corpus.max_tokens is {corpus.max_tokens:,}; raise it or split the document"
        result.rejections.append(Rejection(document.uri, document.etag, "tokenize", "too_long", message))
    elif len(token_ids) == 0:
        result.rejections.append(Rejection(document.uri, document.etag, "tokenize", "empty", "the text has no tokens"))
    else:
        result.documents.append(TokenizedDocument(document, token_ids, token_chars))


def compress_shard(
    shard: TokenizedShard,
    encoder: ContextEncoder,
    embedder: Embedder,
    passage_chars: int,
    centroids: np.ndarray | None,
    meter: EncoderMeter | None = None,
) -> CompressedShard:
    """Encode what a shard's documents do not keep, and embed their passages.

    May be called from several threads with the same encoder, embedder, and meter: one shard's passages are then embedded while
    another shard is encoded. Without a meter the shard is measured as if it had the encoder to itself.
    """
    summaries, rejections, use = _encode_measured(shard.documents, encoder, meter or EncoderMeter(encoder))
    documents = []
    for (remainder, summary), (passages, vectors) in zip(summaries, _passages(summaries, embedder, passage_chars), strict=True):
        document = remainder.document
        group = document.document.group or _cluster(vectors, centroids)
        segments = _segments(document, summary, encoder)
        n_tokens, n_encoded = len(document.token_ids), len(remainder.token_ids)
        documents.append(CompressedDocument(document.document, group, n_tokens, n_encoded, segments, passages, vectors))
    return CompressedShard(
        shard.shard,
        documents,
        shard.unchanged,
        [*shard.rejections, *rejections],
        encode_seconds=use.busy_seconds,
        encoder_id=use.encoder_id,
        encode_started=use.started,
        encode_ended=use.ended,
    )


def _passages(
    summaries: list[tuple[Remainder, np.ndarray]], embedder: Embedder, passage_chars: int
) -> list[tuple[list[Passage], np.ndarray]]:
    """Passages of every document with their embeddings [n, D]. Embedded together: a document alone rarely fills a batch."""
    if not summaries:
        return []
    passages = [split_passages(remainder.document.document.text, passage_chars) for remainder, _ in summaries]
    vectors = embedder.embed([passage.text for of_document in passages for passage in of_document])
    ends = np.cumsum([len(of_document) for of_document in passages])
    return list(zip(passages, np.split(vectors, ends[:-1]), strict=True))


def _cluster(passage_vectors: np.ndarray, centroids: np.ndarray | None) -> str:
    return UNGROUPED if centroids is None else assign_clusters(document_vectors(passage_vectors), centroids)[0]


def document_vectors(passage_vectors: np.ndarray) -> np.ndarray:
    """The vector [1, D] a document is clustered by."""
    return passage_vectors[:SAMPLE_PASSAGES].mean(axis=0, keepdims=True)


def passages_to_cluster(text: str, passage_chars: int) -> list[Passage]:
    """The passages of a text that `document_vectors` looks at."""
    return split_passages(text, passage_chars)[:SAMPLE_PASSAGES]


def _encode_measured(
    documents: list[TokenizedDocument], encoder: ContextEncoder, meter: EncoderMeter
) -> tuple[list[tuple[Remainder, np.ndarray]], list[Rejection], EncoderUse]:
    remainders = [remainder_of(document, encoder) for document in documents]
    n_tokens = sum(len(remainder.token_ids) for remainder in remainders)
    if not n_tokens:
        return *_encode(remainders, encoder), EncoderUse()
    with meter.shard(n_tokens) as use:
        summaries, rejections = _encode(remainders, encoder)
    return summaries, rejections, use


def _encode(remainders: list[Remainder], encoder: ContextEncoder) -> tuple[list[tuple[Remainder, np.ndarray]], list[Rejection]]:
    """All vectors [S * n_segments, H] float16 of documents: the kept ones as they are, then the new ones."""
    stored = [(remainder, remainder.kept) for remainder in remainders if not len(remainder.token_ids)]
    unfinished = [remainder for remainder in remainders if len(remainder.token_ids)]
    rejections = []
    for remainder, outcome in zip(unfinished, _encode_together(unfinished, encoder), strict=True):
        if isinstance(outcome, EncodingError):
            rejections.append(_refused(remainder.document, str(outcome)))
            continue
        summary = outcome.float().numpy().astype(np.float16)
        if all_finite(summary):
            stored.append((remainder, np.concatenate([remainder.kept, summary])))
        else:
            rejections.append(_refused(remainder.document, "its vectors are not finite in float16"))
    return stored, rejections


def _encode_together(remainders: list[Remainder], encoder: ContextEncoder) -> list[torch.Tensor | EncodingError]:
    """New vectors per document; when a document is refused, one by one, so that only the refused one is lost."""
    if not remainders:
        return []
    try:
        return encoder.encode([item.token_ids for item in remainders], prefix=[item.prefix for item in remainders])
    except EncodingError as error:
        return [error] if len(remainders) == 1 else [outcome for item in remainders for outcome in _encode_together([item], encoder)]


def _refused(document: TokenizedDocument, message: str) -> Rejection:
    return Rejection(document.document.uri, document.document.etag, "encode", "not_encodable", message)


def _segments(document: TokenizedDocument, summary: np.ndarray, encoder: ContextEncoder) -> list[Segment]:
    bounds = encoder.segmentation.bounds(len(document.token_ids))
    hashes = prefix_hashes(encoder.fingerprint, document.token_ids, bounds)
    vectors = summary.reshape(len(bounds), encoder.summary_length, encoder.hidden_size)
    return [
        Segment(
            index=index,
            prefix_hash=hashes[index],
            token_start=start,
            token_end=end,
            char_start=int(document.token_chars[start, 0]),
            char_end=int(document.token_chars[end - 1, 1]),
            summary=vectors[index],
        )
        for index, (start, end) in enumerate(bounds)
    ]
