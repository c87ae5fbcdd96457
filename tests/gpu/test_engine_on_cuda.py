"""The engine on a card: every attention path, the fused kernels, float8, and memory that ends. Skipped where there is no card."""

from __future__ import annotations

import gc

import pytest
import torch

from lloco_core.compressor import load_encoder, operators
from lloco_core.compressor.attention import CudnnAttention, FlashAttention, PlainAttention, Spans
from lloco_core.compressor.decoder import DecoderShape
from lloco_core.compressor.operators import HeadNorm, Rotary

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
    pytest.mark.timeout(300),
]
BF16_RELATIVE = 4e-3
"""Rounding of bfloat16 inputs and outputs, relative to the norm."""
CUDA = torch.device("cuda")
QUERIES, KEYS = [1636, 300, 50, 1, 777, 1636], [1636, 4000, 5000, 700, 777, 3000]


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def scattered_regions(lengths: list[int]) -> tuple[list[int], int]:
    starts, at = [0] * len(lengths), 13
    for index in (3, 1, 5, 0, 2, 4):
        starts[index], at = at, at + lengths[index] + 29
    return starts, at


@pytest.mark.parametrize("window", [None, 1000])
@pytest.mark.parametrize(("query_heads", "kv_heads", "head_dim"), [(32, 32, 128), (32, 8, 128), (8, 8, 64)])
@pytest.mark.parametrize("path", ["plain", "flash", "cudnn"])
def test_attention_paths_agree(path: str, query_heads: int, kv_heads: int, head_dim: int, window: int | None) -> None:
    shape = DecoderShape(1, query_heads * head_dim, 1, query_heads, kv_heads, head_dim)
    if path == "cudnn":
        pytest.importorskip("cudnn", reason="nvidia-cudnn-frontend is not installed")
    attention = {"plain": PlainAttention, "flash": FlashAttention, "cudnn": lambda: CudnnAttention(shape, torch.bfloat16, CUDA)}[path]()
    starts, n_positions = scattered_regions(KEYS)
    query = torch.randn(sum(QUERIES), query_heads, head_dim, device=CUDA, dtype=torch.bfloat16)
    keys, values = (torch.randn(n_positions, kv_heads, head_dim, device=CUDA, dtype=torch.bfloat16) for _ in range(2))
    expected = PlainAttention()(query.float(), keys.float(), values.float(), Spans(QUERIES, starts, KEYS, CUDA), window)
    assert relative(attention(query, keys, values, Spans(QUERIES, starts, KEYS, CUDA), window), expected) < BF16_RELATIVE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fused_norm_and_gate_equal_the_plain_ones(dtype: torch.dtype) -> None:
    from lloco_core.compressor import kernels

    tolerance = 1e-6 if dtype == torch.float32 else BF16_RELATIVE
    x, delta = (torch.randn(700, 4096, device=CUDA).to(dtype) for _ in range(2))
    weight, gate_up = torch.randn(4096, device=CUDA).to(dtype), torch.randn(500, 2 * 11008, device=CUDA).to(dtype)
    for added in (None, delta):
        sums = x.clone(), x.clone()
        plain, fused = (module.rms_norm(x, added, weight, 1e-5, False) for module, x in zip((operators, kernels), sums, strict=True))
        assert relative(fused, plain) < tolerance
        assert torch.equal(*sums)
    assert relative(kernels.gated_silu(gate_up, False), operators.gated_silu(gate_up, False)) < tolerance
    plain, fused = (module.quantize_rows(x) for module in (operators, kernels))
    assert torch.equal(fused.values.float(), plain.values.float())
    assert torch.equal(fused.scale, plain.scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("head_dim", [24, 64, 128])
@pytest.mark.parametrize("normed", [True, False])
def test_fused_rotation_equals_the_plain_one(dtype: torch.dtype, head_dim: int, normed: bool) -> None:
    from lloco_core.compressor import kernels

    tolerance = 1e-6 if dtype == torch.float32 else BF16_RELATIVE
    norm = HeadNorm(*(torch.randn(head_dim, device=CUDA).to(dtype) for _ in range(2)), 1e-6) if normed else None
    heads = torch.randn(900, (32 + 2 * 8) * head_dim, device=CUDA).to(dtype)
    positions, slots = torch.randint(0, 64, (900,), device=CUDA), torch.randperm(4000, device=CUDA)[:900]
    rotary = Rotary(*(torch.rand(64, head_dim // 2, device=CUDA) for _ in range(2)))
    caches = torch.zeros(4, 4000, 8, head_dim, dtype=dtype, device=CUDA)
    plain = operators.rotate_into_cache(heads, 32, positions, slots, rotary, norm, caches[0], caches[1])
    fused = kernels.rotate_into_cache(heads, 32, positions, slots, rotary, norm, caches[2], caches[3])
    assert relative(fused, plain) < tolerance
    assert relative(caches[2], caches[0]) < tolerance
    assert torch.equal(caches[3], caches[1])


def documents(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, 8000, (length,), generator=generator).tolist() for length in lengths]


MIXED = documents(9000, 40, 3000, 1536, 1537, 200, 6000, 5)


def test_mixed_lengths_over_many_refills_equal_the_plain_path_in_float32() -> None:
    fast = load_encoder("reference", device="cuda", batch_tokens=2000)
    plain = load_encoder("reference", device="cuda", fast=False)
    for found, expected in zip(fast.encode(MIXED), plain.encode(MIXED), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("path", ["flash", "cudnn"])
def test_bfloat16_is_as_close_to_float32_as_the_plain_path_in_bfloat16(path: str) -> None:
    if path == "cudnn":
        pytest.importorskip("cudnn", reason="nvidia-cudnn-frontend is not installed")
    exact = torch.cat(load_encoder("reference", device="cuda", fast=False).encode(MIXED))
    plain = torch.cat(load_encoder("reference", device="cuda", dtype="bfloat16", fast=False).encode(MIXED))
    fast = load_encoder("reference", device="cuda", dtype="bfloat16", batch_tokens=3000)
    if path == "flash":
        fast.engine.decoder.attend = FlashAttention()
    assert type(fast.engine.decoder.attend).__name__.lower().startswith(path)
    assert relative(torch.cat(fast.encode(MIXED)), exact) < 1.2 * relative(plain, exact)


def test_float8_vectors_stay_close() -> None:
    exact = torch.cat(load_encoder("reference", device="cuda", dtype="bfloat16").encode(MIXED)).float()
    found = torch.cat(load_encoder("reference", device="cuda", dtype="bfloat16", quantization="fp8").encode(MIXED)).float()
    assert torch.cosine_similarity(found, exact, dim=1).mean() > 0.97


def test_a_long_document_beside_short_ones_when_memory_is_short() -> None:
    """A card with little memory left takes smaller steps and fewer documents at a time; the vectors are the same."""
    texts = documents(131_072, *[400 + 10 * n for n in range(100)])
    encoder = load_encoder("reference", device="cuda", dtype="bfloat16")
    expected, usual = encoder.encode(texts), encoder.engine.step_tokens
    del encoder
    gc.collect()
    torch.cuda.empty_cache()
    encoder = load_encoder("reference", device="cuda", dtype="bfloat16")
    limit = encoder.engine.memory.limit
    hog = torch.empty(int(torch.cuda.mem_get_info()[0] - 200e6), dtype=torch.uint8, device=CUDA)
    found = encoder.encode(texts)
    del hog
    assert encoder.engine.step_tokens < usual or encoder.engine.memory.limit < limit  # a step or the buffers met the end of memory
    cosines = [torch.cosine_similarity(a.float(), b.float(), dim=1).mean() for a, b in zip(found, expected, strict=True)]
    assert min(cosines) > 0.99
