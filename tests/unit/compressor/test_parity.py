"""Vectors equal an independent derivation on stock transformers, for every base, batch, prefix, and variant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_checkpoints import BASES, HIDDEN, SUMMARY, WINDOW, Tiny, document, expected_vectors

from lloco_core.compressor import decoder, load_encoder
from tests.unit.compressor.engine_steps import count_steps

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


def new_positions(n_tokens: int, carried: int = 0) -> int:
    """Positions that a document costs when everything seen before is kept."""
    n_segments = -(-n_tokens // LENGTH)
    return carried + n_tokens + SUMMARY * (2 * n_segments - 1)


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


@pytest.mark.parametrize("batch_tokens", [1, 7, 50, 150, 400, 10_000])
@pytest.mark.parametrize("accumulate", [True, False], ids=["accumulate", "rmt"])
def test_steps_of_any_size_give_the_same_vectors(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, batch_tokens: int, accumulate: bool
) -> None:
    tiny = checkpoint(accumulate=accumulate)
    expected = [expected_vectors(tiny, ids, LENGTH, accumulate=accumulate) for ids in MIXED]
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=batch_tokens)
    steps = count_steps(encoder, monkeypatch)
    assert_close(encoder.encode(MIXED), expected)
    assert_close(encoder.encode(MIXED[::-1]), expected[::-1])
    assert max(sum(step) for step in steps) <= max(batch_tokens, SUMMARY)
    assert sum(sum(step) for step in steps) == 2 * sum(new_positions(len(ids)) for ids in MIXED)  # no padding, nothing twice
    if batch_tokens == 10_000:
        assert [len(step) for step in steps] == [8, 4, 3, 1, 1] * 2  # all together, and each leaves when it ends


def test_steps_are_full_until_the_documents_end(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(str(checkpoint().folder), segment_length=LENGTH, batch_tokens=150)
    steps = count_steps(encoder, monkeypatch)
    encoder.encode([document(n) for n in (400, 90, 30, 200, 10, 350, 120, 60, 400, 45)])
    assert all(sum(step) > 150 - SUMMARY for step in steps[:-2])  # summary tokens are not parted, so a few positions may stay free


def test_a_long_prefix_is_taken_in_several_steps(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = checkpoint()
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=60)
    steps = count_steps(encoder, monkeypatch)
    documents, prefix = [document(50, seed) for seed in range(3)], torch.randn(100, HIDDEN)
    found = encoder.encode(documents, prefix=[prefix] * 3)
    assert_close(found, [expected_vectors(tiny, ids, LENGTH, prefix) for ids in documents])
    assert max(sum(step) for step in steps) == 60
    assert sum(sum(step) for step in steps) == 3 * new_positions(50, carried=100)


@EVERY_BASE
@pytest.mark.parametrize("accumulate", [True, False], ids=["accumulate", "rmt"])
def test_prefix_reuse_equals_recomputing_over_seven_segments(checkpoint: Checkpoint, base: str, accumulate: bool) -> None:
    folder = str(checkpoint(base, accumulate=accumulate).folder)
    documents = [document(6 * LENGTH + 7), document(5 * LENGTH), document(LENGTH + 1)]
    fast, plain = (load_encoder(folder, fast=fast, segment_length=LENGTH) for fast in (True, False))
    assert_close(fast.encode(documents), plain.encode(documents))


@EVERY_BASE
def test_without_the_first_layers_table(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    tiny = checkpoint(base)
    monkeypatch.setattr(decoder, "TABLE_SHARE", 0)
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH)
    assert_close(encoder.encode(MIXED), [expected_vectors(tiny, ids, LENGTH) for ids in MIXED])


def test_a_single_layer(checkpoint: Checkpoint) -> None:
    tiny = checkpoint(num_hidden_layers=1)
    assert_close(load_encoder(str(tiny.folder), segment_length=LENGTH).encode(MIXED), [expected_vectors(tiny, i, LENGTH) for i in MIXED])


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


@BOTH_WAYS
def test_the_vectors_are_taken_after_the_final_norm(checkpoint: Checkpoint, fast: bool) -> None:
    tiny = checkpoint()
    x = torch.cat([tiny.model.model.embed_tokens(torch.tensor(document(30))), tiny.summary_SH])
    before: list[torch.Tensor] = []
    tiny.model.model.norm.register_forward_pre_hook(lambda module, args: before.append(args[0][0]))
    tiny.model.model(inputs_embeds=x[None], use_cache=False)
    (vectors,) = load_encoder(str(tiny.folder), fast=fast).encode([document(30)])
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
