"""The packaged embedding model, and models that are not there."""

from __future__ import annotations

import time
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

from lloco_core.errors import CheckpointError
from lloco_core.retrieval.embedder import Embedder


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder("minilm")


def test_embeddings_have_unit_length(embedder: Embedder) -> None:
    texts = ["A short text.", "", " \n", "word " * 2000, "東京タワー 🗼", "</s>", *(f"text {number}" for number in range(40))]
    vectors = embedder.embed(texts)
    assert (vectors.shape, vectors.dtype) == ((len(texts), 384), np.float32)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5


def test_similar_sentences_are_closer_than_unrelated_ones(embedder: Embedder) -> None:
    pairs = [
        ("How do I reset my password?", "Instructions to change a forgotten password"),
        ("The cat sat on the mat.", "A kitten is lying on the rug."),
        ("Stock markets fell sharply on Monday.", "Share prices dropped at the start of the week."),
        ("The spacecraft entered the orbit of Mars.", "A probe has reached the red planet."),
    ]
    left, right = (embedder.embed(list(side)) for side in zip(*pairs, strict=True))
    similarity = left @ right.T
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert similarity.diagonal().min() > similarity[~np.eye(4, dtype=bool)].max() + 0.2


def test_an_embedding_does_not_depend_on_its_batch(embedder: Embedder) -> None:
    texts = ["one", "a much longer text about something else entirely " * 5, "two words"]
    together = embedder.embed(texts)
    assert np.abs(together - np.concatenate([embedder.embed([text]) for text in texts])).max() < 1e-5


def test_the_dimension(embedder: Embedder) -> None:
    assert embedder.dimension == 384


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    empty = embedder.embed([])
    assert (empty.shape, empty.dtype) == ((0, 384), np.float32)


@pytest.mark.parametrize("name", ["/no/such/folder", "own er/mo del", "nobody/no-such-model"])
def test_a_model_that_does_not_exist(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(CheckpointError, match="cannot be loaded") as caught:
        Embedder(name)
    assert f"retrieval.model {name!r}" in str(caught.value)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Embedder(str(tmp_path))
