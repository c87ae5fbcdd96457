"""Vectors equal an independent derivation on stock transformers, for every base, batch, prefix, and variant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_checkpoints import BASES, HIDDEN, SUMMARY, WINDOW, Tiny, document, expected_vectors

from lloco_core.compressor import AutoCompressor, load_encoder

TOLERANCE = 1e-4
"""Largest difference of a value in float32; the values themselves are of order 1."""
BF16_MAX_ABS = 0.5
BF16_COSINE = 0.995
"""bfloat16 against float32, for the worst vector, after three segments."""

LENGTH = 40
MIXED = [document(n) for n in (5, 120, 40, 41, 81, 1, 200, 39)]
"""Shorter than, equal to, one token longer than, and several times the segment length."""

EVERY_BASE = pytest.mark.parametrize("base", BASES)
BOTH_WAYS = pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
Checkpoint = Callable[..., Tiny]


def assert_close(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float = TOLERANCE) -> None:
    assert [tuple(vectors.shape) for vectors in found] == [tuple(vectors.shape) for vectors in expected]
    for index, (vectors, right) in enumerate(zip(found, expected, strict=True)):
        assert (vectors - right).abs().max() < tolerance, f"document {index}"


def count_positions(encoder: AutoCompressor) -> list[tuple[int, int]]:
    """Rows and positions of every forward pass from now on."""
    passes: list[tuple[int, int]] = []
    encoder.model.get_decoder().register_forward_pre_hook(
        lambda module, args, kwargs: passes.append(tuple(kwargs["inputs_embeds"].shape[:2])), with_kwargs=True
    )
    return passes


@EVERY_BASE
@BOTH_WAYS
def test_one_segment(checkpoint: Checkpoint, base: str, fast: bool) -> None:
    tiny = checkpoint(base)
    (vectors,) = load_encoder(str(tiny.folder), fast=fast).encode([document(70)])
    assert vectors.shape == (SUMMARY, HIDDEN)
    assert vectors.dtype == torch.float32
    assert_close([vectors], [expected_vectors(tiny, document(70), 70)])


@EVERY_BASE
@BOTH_WAYS
def test_mixed_lengths_in_one_call(checkpoint: Checkpoint, base: str, fast: bool) -> None:
    tiny = checkpoint(base)
    found = load_encoder(str(tiny.folder), fast=fast, segment_length=LENGTH).encode(MIXED)
    assert [len(vectors) // SUMMARY for vectors in found] == [1, 3, 1, 2, 3, 1, 5, 1]
    assert_close(found, [expected_vectors(tiny, ids, LENGTH) for ids in MIXED])


@pytest.mark.parametrize("base", ["llama_gqa", "mistral_window"])
@BOTH_WAYS
def test_rmt_variant_carries_only_the_newest_vectors(checkpoint: Checkpoint, base: str, fast: bool) -> None:
    tiny = checkpoint(base, accumulate=False)
    found = load_encoder(str(tiny.folder), fast=fast, segment_length=LENGTH).encode(MIXED)
    assert_close(found, [expected_vectors(tiny, ids, LENGTH, accumulate=False) for ids in MIXED])
    accumulated = expected_vectors(tiny, MIXED[6], LENGTH)
    assert (found[6][: 2 * SUMMARY] - accumulated[: 2 * SUMMARY]).abs().max() < TOLERANCE
    assert (found[6][2 * SUMMARY :] - accumulated[2 * SUMMARY :]).abs().max() > 0.1


@EVERY_BASE
@BOTH_WAYS
@pytest.mark.parametrize("accumulate", [True, False], ids=["accumulate", "rmt"])
def test_prefixes_of_different_lengths_and_none(checkpoint: Checkpoint, base: str, fast: bool, accumulate: bool) -> None:
    tiny = checkpoint(base, accumulate=accumulate)
    vectors = torch.randn(30, HIDDEN, generator=torch.Generator().manual_seed(3))
    prefixes = [vectors[:8], None, vectors[8:12].numpy(), vectors[:3], np.zeros((0, HIDDEN), np.float32), vectors, vectors[4:12]]
    documents = [document(n, seed=1) for n in (90, 41, 10, 80, 55, 1, 40)]
    found = load_encoder(str(tiny.folder), fast=fast, segment_length=LENGTH).encode(documents, prefix=prefixes)
    pairs = zip(documents, prefixes, strict=True)
    assert_close(found, [expected_vectors(tiny, ids, LENGTH, prefix, accumulate) for ids, prefix in pairs])
    assert (found[0] - expected_vectors(tiny, documents[0], LENGTH, None, accumulate)).abs().max() > 0.1


@pytest.mark.parametrize("batch_tokens", [1, 150, 400, 10**9])
@pytest.mark.parametrize("accumulate", [True, False], ids=["accumulate", "rmt"])
def test_batch_size_changes_neither_results_nor_their_order(checkpoint: Checkpoint, batch_tokens: int, accumulate: bool) -> None:
    tiny = checkpoint(accumulate=accumulate)
    expected = [expected_vectors(tiny, ids, LENGTH, accumulate=accumulate) for ids in MIXED]
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=batch_tokens)
    passes = count_positions(encoder)
    assert_close(encoder.encode(MIXED), expected)
    assert_close(encoder.encode(MIXED[::-1]), expected[::-1])
    assert all(rows == 1 or rows * width <= batch_tokens for rows, width in passes)
    if batch_tokens == 1:
        assert len(passes) == 2 * sum(len(vectors) // SUMMARY for vectors in expected)  # every document on its own
    if batch_tokens == 10**9:
        assert [rows for rows, _ in passes] == [8, 4, 3, 1, 1] * 2  # all share one batch and leave it when they end


def test_a_long_prefix_counts_for_the_batch_limit(checkpoint: Checkpoint) -> None:
    tiny = checkpoint()
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=300)
    passes = count_positions(encoder)
    documents, prefix = [document(50, seed) for seed in range(6)], torch.randn(100, HIDDEN)
    found = encoder.encode(documents, prefix=[prefix] * 6)
    assert_close(found, [expected_vectors(tiny, ids, LENGTH, prefix) for ids in documents])
    assert max(rows * width for rows, width in passes) <= 300
    assert passes[0] == (2, 100 + LENGTH + SUMMARY)


@EVERY_BASE
@pytest.mark.parametrize("accumulate", [True, False], ids=["accumulate", "rmt"])
def test_prefix_reuse_equals_recomputing_over_seven_segments(checkpoint: Checkpoint, base: str, accumulate: bool) -> None:
    folder = str(checkpoint(base, accumulate=accumulate).folder)
    documents = [document(6 * LENGTH + 7), document(5 * LENGTH), document(LENGTH + 1)]
    fast, plain = (load_encoder(folder, fast=fast, segment_length=LENGTH) for fast in (True, False))
    passes, plain_passes = count_positions(fast), count_positions(plain)
    assert_close(fast.encode(documents), plain.encode(documents))
    assert max(width for _, width in passes) == SUMMARY + LENGTH + SUMMARY
    assert max(width for _, width in plain_passes) == (5 * SUMMARY if accumulate else SUMMARY) + LENGTH + SUMMARY


@EVERY_BASE
@BOTH_WAYS
@pytest.mark.parametrize("accumulate", [True, False], ids=["accumulate", "rmt"])
def test_continuing_equals_encoding_in_one_go(checkpoint: Checkpoint, base: str, fast: bool, accumulate: bool) -> None:
    encoder = load_encoder(str(checkpoint(base, accumulate=accumulate).folder), fast=fast, segment_length=LENGTH)
    ids = document(5 * LENGTH + 3)
    (whole,) = encoder.encode([ids])
    kept = [1, 3, 5]
    rest = encoder.encode([ids[k * LENGTH :] for k in kept], prefix=[whole[: k * SUMMARY] for k in kept])
    assert_close(rest, [whole[k * SUMMARY :] for k in kept])


def test_the_vectors_are_taken_after_the_final_norm(checkpoint: Checkpoint) -> None:
    tiny = checkpoint()
    encoder = load_encoder(str(tiny.folder))
    before: list[torch.Tensor] = []
    encoder.model.model.norm.register_forward_pre_hook(lambda module, args: before.append(args[0][0]))
    (vectors,) = encoder.encode([document(30)])
    hidden = before[0][-SUMMARY:]
    normed = hidden / torch.sqrt(hidden.pow(2).mean(-1, keepdim=True) + tiny.model.config.rms_norm_eps)
    assert_close([vectors], [normed * tiny.model.model.norm.weight])


def test_the_sliding_window_hides_what_lies_before_it(checkpoint: Checkpoint) -> None:
    encoder = load_encoder(str(checkpoint("mistral_window").folder))
    ids = document(4 * WINDOW)
    (vectors,), (changed_far,), (changed_near,) = (
        encoder.encode([variant]) for variant in (ids, [ids[0] ^ 1, *ids[1:]], [*ids[:-1], ids[-1] ^ 1])
    )
    assert torch.equal(vectors, changed_far)  # two layers of 24 see at most 2 * 23 back
    assert (vectors - changed_near).abs().max() > 0.1


@pytest.mark.parametrize("base", ["llama_gqa", "qwen3", "mistral_window"])
@BOTH_WAYS
def test_bfloat16_stays_close_to_float32(checkpoint: Checkpoint, base: str, fast: bool) -> None:
    tiny = checkpoint(base)
    documents = MIXED[:5]
    found = load_encoder(str(tiny.folder), dtype="bfloat16", fast=fast, segment_length=LENGTH).encode(documents)
    assert all(vectors.dtype == torch.bfloat16 for vectors in found)
    for ids, vectors in zip(documents, found, strict=True):
        right = expected_vectors(tiny, ids, LENGTH)
        assert torch.cosine_similarity(vectors.float(), right, dim=-1).min() > BF16_COSINE
        assert (vectors.float() - right).abs().max() < BF16_MAX_ABS


def test_the_segment_length_of_a_call_overrides_the_encoders(checkpoint: Checkpoint) -> None:
    tiny = checkpoint()
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH)
    assert_close(encoder.encode([document(100)], segment_length=64), [expected_vectors(tiny, document(100), 64)])
    assert encoder.segment_length == LENGTH


def test_nothing_to_encode_gives_nothing(checkpoint: Checkpoint) -> None:
    assert load_encoder(str(checkpoint().folder)).encode([]) == []
