"""One shard through encoder and embedder: every document gets its own passages, although all are embedded together."""

from __future__ import annotations

import numpy as np

from lloco_core.pipeline import compress_shard
from lloco_core.types import Document, Shard, TokenizedDocument, TokenizedShard
from tests.crash.loop import ToyEmbedder, ToyEncoder


class CountingEmbedder(ToyEmbedder):
    calls = 0

    def embed(self, texts: list[str]) -> np.ndarray:
        self.calls += 1
        return super().embed(texts)


class TickingEncoder(ToyEncoder):
    """Busy for a second per document."""

    def __init__(self) -> None:
        super().__init__()
        self.busy_seconds = 10.0

    def encode(self, documents: list[np.ndarray], prefix: list | None = None) -> list:
        self.busy_seconds += len(documents)
        return super().encode(documents, prefix)


def tokenized(name: str, words: int) -> TokenizedDocument:
    text = " ".join(f"{name}-{number} says this." for number in range(words))
    document = Document(name, f"file:///{name}", "etag", text, "hash", name, "text/plain", group="group")
    chars = np.stack([np.arange(len(text)), np.arange(1, len(text) + 1)], axis=1)
    return TokenizedDocument(document, np.frombuffer(text.encode(), np.uint8).astype(np.int64), chars)


def test_passages_of_a_shard_are_embedded_together_and_go_back_to_their_documents():
    documents = [tokenized("long", 30), tokenized("short", 1), tokenized("middle", 9)]
    embedder = CountingEmbedder()
    shard = TokenizedShard(Shard("plan", "plan-000000", ()), documents, [], [])
    compressed = compress_shard(shard, TickingEncoder(), embedder, 100, None)

    assert embedder.calls == 1
    assert [item.document.doc_id for item in compressed.documents] == ["long", "short", "middle"]
    for item in compressed.documents:
        assert "".join(passage.text for passage in item.passages) == item.document.text
        np.testing.assert_array_equal(item.passage_vectors, ToyEmbedder().embed([passage.text for passage in item.passages]))
    assert [len(item.passages) > 1 for item in compressed.documents] == [True, False, True]


def test_a_shard_alone_is_measured_too():
    shard = TokenizedShard(Shard("plan", "plan-000000", ()), [tokenized("a", 1), tokenized("b", 2)], [], [])
    compressed = compress_shard(shard, TickingEncoder(), ToyEmbedder(), 100, None)
    assert compressed.encode_seconds == 2.0
    assert compressed.encoder_id
    assert compressed.encode_started <= compressed.encode_ended
