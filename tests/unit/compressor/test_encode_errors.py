"""What `encode` and the segment length refuse, and what the messages name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_checkpoints import HIDDEN, SUMMARY, VOCABULARY, Tiny, document

from lloco_core.compressor import AutoCompressor, load_encoder
from lloco_core.compressor.loading import encoder_identity
from lloco_core.errors import EncodingError

Checkpoint = Callable[..., Tiny]
LIMIT = 512


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def encoder(checkpoint: Checkpoint, request: pytest.FixtureRequest) -> AutoCompressor:
    return load_encoder(str(checkpoint().folder), fast=request.param)


def test_an_empty_document(encoder: AutoCompressor) -> None:
    with pytest.raises(EncodingError, match="document 1 has no tokens"):
        encoder.encode([[5, 6], [], [7]])


@pytest.mark.parametrize("token", [-1, VOCABULARY, 10**9])
def test_a_token_outside_the_vocabulary(encoder: AutoCompressor, token: int) -> None:
    low, high = min(3, token), max(3, token)
    with pytest.raises(EncodingError, match=f"document 2 has token ids {low}..{high} outside the vocabulary of {VOCABULARY}"):
        encoder.encode([[1], [2], [3, token]])
    assert encoder.encode([[0, VOCABULARY - 1]])[0].shape == (SUMMARY, HIDDEN)


@pytest.mark.parametrize("shape", [(3, HIDDEN + 1), (HIDDEN,), (1, 3, HIDDEN)])
def test_a_prefix_of_the_wrong_shape(encoder: AutoCompressor, shape: tuple[int, ...]) -> None:
    with pytest.raises(EncodingError) as caught:
        encoder.encode([[1], [2]], prefix=[None, torch.zeros(shape)])
    assert str(caught.value) == f"prefix of document 1 has shape {shape}, expected [n, {HIDDEN}]"


def test_as_many_prefixes_as_documents(encoder: AutoCompressor) -> None:
    with pytest.raises(EncodingError, match="2 documents came with 1 prefixes"):
        encoder.encode([[1], [2]], prefix=[None])


def test_a_segment_beyond_the_position_limit(encoder: AutoCompressor) -> None:
    longest = LIMIT - SUMMARY
    with pytest.raises(EncodingError) as caught:
        encoder.encode([[1]], segment_length=longest + 1)
    assert f"segment length {longest + 1} with {SUMMARY} summary tokens exceeds the position limit {LIMIT}" in str(caught.value)
    assert str(caught.value).endswith(f"use 1 to {longest}")
    assert encoder.encode([document(longest)], segment_length=longest)[0].shape == (SUMMARY, HIDDEN)
    with pytest.raises(EncodingError, match="segment length -1"):
        encoder.encode([[1]], segment_length=-1)


def test_loading_with_a_segment_beyond_the_position_limit(checkpoint: Checkpoint) -> None:
    folder = str(checkpoint().folder)
    for refuse in (lambda: load_encoder(folder, segment_length=600), lambda: encoder_identity(folder, "float32", 600)):
        with pytest.raises(EncodingError, match=f"position limit {LIMIT}.*use 1 to {LIMIT - SUMMARY}"):
            refuse()


def test_the_default_segment_length_fits_the_position_limit(checkpoint: Checkpoint) -> None:
    assert load_encoder(str(checkpoint().folder)).segment_length == LIMIT - SUMMARY
    assert load_encoder(str(checkpoint(max_position_embeddings=4096).folder)).segment_length == 1536
