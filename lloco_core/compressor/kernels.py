"""The operations of `operators` as Triton kernels: each reads its input once and writes its output once.

Nothing is specialised on the number of positions, so no kernel is compiled anew in steady state. Arithmetic is float32.
Shape suffixes as in `operators`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from lloco_core.compressor.operators import FP8, FP8_MAX, FP8_UNIT, Activation, Fp8Rows, HeadNorm, Rotary

HEADS_PER_PROGRAM = 16
_FP8_MAX, _FP8_UNIT = tl.constexpr(FP8_MAX), tl.constexpr(FP8_UNIT)


def rms_norm(x_MH: torch.Tensor, delta_MH: torch.Tensor | None, weight_H: torch.Tensor, eps: float, fp8: bool) -> Activation:
    """Add `delta` to `x` in place, if there is one, and return the normed sum."""
    out, scale = _outputs(x_MH.shape, x_MH, fp8)
    width = x_MH.shape[1]
    block = triton.next_power_of_2(width)
    _rms_norm[(len(x_MH),)](
        x_MH, delta_MH, weight_H, out, scale, eps, width, block, delta_MH is not None, fp8, num_warps=_warps(block)
    )  # fmt: skip
    return Fp8Rows(out, scale) if fp8 else out


@triton.jit
def _rms_norm(x, delta, weight, out, scale, eps, width: tl.constexpr, block: tl.constexpr, has_delta: tl.constexpr, fp8: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    value = tl.load(x + row * width + column, inside, 0.0).to(tl.float32)
    if has_delta:
        value += tl.load(delta + row * width + column, inside, 0.0).to(tl.float32)
        value = value.to(x.dtype.element_ty)
        tl.store(x + row * width + column, value, inside)
        value = value.to(tl.float32)
    value = value * tl.rsqrt(tl.sum(value * value, 0) / width + eps)
    value = value * tl.load(weight + column, inside, 0.0).to(tl.float32)
    _store_row(out, scale, row, column, width, inside, value, fp8)


def gated_silu(gate_up: torch.Tensor, fp8: bool) -> Activation:
    """`silu(gate) * up` of the joint projection [M, 2 I]."""
    width = gate_up.shape[1] // 2
    out, scale = _outputs((len(gate_up), width), gate_up, fp8)
    block = triton.next_power_of_2(width) if fp8 else min(2048, triton.next_power_of_2(width))
    _gated_silu[(len(gate_up), triton.cdiv(width, block))](gate_up, out, scale, width, block, fp8, num_warps=_warps(block))
    return Fp8Rows(out, scale) if fp8 else out


@triton.jit
def _gated_silu(gate_up, out, scale, width: tl.constexpr, block: tl.constexpr, fp8: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < width
    gate = tl.load(gate_up + row * 2 * width + column, inside, 0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * width + width + column, inside, 0.0).to(tl.float32)
    _store_row(out, scale, row, column, width, inside, gate * tl.sigmoid(gate) * up, fp8)


def quantize_rows(x: torch.Tensor) -> Fp8Rows:
    """Scale every row to the range of float8_e4m3 and round."""
    out, scale = _outputs(x.shape, x, True)
    block = triton.next_power_of_2(x.shape[1])
    _quantize_rows[(len(x),)](x, out, scale, x.shape[1], block, num_warps=_warps(block))
    return Fp8Rows(out, scale)


@triton.jit
def _quantize_rows(x, out, scale, width: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    _store_row(out, scale, row, column, width, inside, tl.load(x + row * width + column, inside, 0.0).to(tl.float32), True)


@triton.jit
def _store_row(out, scale, row, column, width: tl.constexpr, inside, value, fp8: tl.constexpr):
    if fp8:
        factor = tl.maximum(tl.max(tl.abs(value), 0), 1e-12) * _FP8_UNIT
        tl.store(scale + row, factor)
        # div_rn: `/` is an approximation, two units in the last place off, and now and then gives the neighbouring float8
        value = tl.minimum(tl.maximum(tl.div_rn(value, factor), -_FP8_MAX), _FP8_MAX)
    tl.store(out + row * width + column, value.to(out.dtype.element_ty), inside)


def rotate_into_cache(
    qkv_MC: torch.Tensor,
    n_query_heads: int,
    positions_M: torch.Tensor,
    slots_M: torch.Tensor | None,
    rotary: Rotary,
    norm: HeadNorm | None,
    keys_NKD: torch.Tensor,
    values_NKD: torch.Tensor,
) -> torch.Tensor:
    """Rotate queries and keys; keys and values go to their slots of the buffer, the queries [M, heads, D] are returned."""
    kv_heads, head_dim = (0 if slots_M is None else keys_NKD.shape[1]), keys_NKD.shape[2]
    query = qkv_MC.new_empty(len(qkv_MC), n_query_heads, head_dim)
    groups = triton.cdiv(n_query_heads + 2 * kv_heads, HEADS_PER_PROGRAM)
    _rotate_into_cache[(len(qkv_MC), groups)](
        qkv_MC,
        query,
        keys_NKD,
        values_NKD,
        positions_M,
        slots_M,
        rotary.cos,
        rotary.sin,
        norm.query_D if norm else None,
        norm.key_D if norm else None,
        norm.eps if norm else 0.0,
        n_query_heads,
        kv_heads,
        head_dim // 2,
        triton.next_power_of_2(head_dim // 2),
        HEADS_PER_PROGRAM,
        norm is not None,
        num_warps=4,
    )
    return query


@triton.jit
def _rotate_into_cache(
    qkv, query, keys, values, positions, slots, cos_table, sin_table, query_norm, key_norm, eps,
    n_query: tl.constexpr, n_kv: tl.constexpr, half: tl.constexpr, block: tl.constexpr, per_program: tl.constexpr, has_norm: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    head = (tl.program_id(1) * per_program + tl.arange(0, per_program))[:, None]
    column = tl.arange(0, block)[None, :]
    inside = (head < n_query + 2 * n_kv) & (column < half)
    source = qkv + row * (n_query + 2 * n_kv) * 2 * half + head * 2 * half + column
    first = tl.load(source, inside, 0.0).to(tl.float32)
    second = tl.load(source + half, inside, 0.0).to(tl.float32)
    if has_norm:
        factor = tl.rsqrt((tl.sum(first * first, 1) + tl.sum(second * second, 1)) / (2 * half) + eps)[:, None]
        is_query, is_key = inside & (head < n_query), inside & (head >= n_query) & (head < n_query + n_kv)
        weight = tl.load(query_norm + column, is_query, 0.0).to(tl.float32) + tl.load(key_norm + column, is_key, 0.0).to(tl.float32)
        weight2 = tl.load(query_norm + half + column, is_query, 0.0).to(tl.float32)
        weight2 += tl.load(key_norm + half + column, is_key, 0.0).to(tl.float32)
        is_value = head >= n_query + n_kv
        first = tl.where(is_value, first, first * factor * weight)
        second = tl.where(is_value, second, second * factor * weight2)
    position = tl.load(positions + row)
    cos = tl.load(cos_table + position * half + column, column < half, 0.0)
    sin = tl.load(sin_table + position * half + column, column < half, 0.0)
    turned_first, turned_second = first * cos - second * sin, second * cos + first * sin
    if n_query > 0:
        target = query + (row * n_query + head) * 2 * half + column
        mask = inside & (head < n_query)
        tl.store(target, turned_first.to(query.dtype.element_ty), mask)
        tl.store(target + half, turned_second.to(query.dtype.element_ty), mask)
    if n_kv > 0:
        slot = tl.load(slots + row)
        target = (slot * n_kv + head - n_query) * 2 * half + column
        mask = inside & (head >= n_query) & (head < n_query + n_kv)
        tl.store(keys + target, turned_first.to(keys.dtype.element_ty), mask)
        tl.store(keys + target + half, turned_second.to(keys.dtype.element_ty), mask)
        target = (slot * n_kv + head - n_query - n_kv) * 2 * half + column
        mask = inside & (head >= n_query + n_kv)
        tl.store(values + target, first.to(values.dtype.element_ty), mask)
        tl.store(values + target + half, second.to(values.dtype.element_ty), mask)


def _outputs(shape: torch.Size | tuple[int, int], like: torch.Tensor, fp8: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    out = torch.empty(shape, dtype=FP8 if fp8 else like.dtype, device=like.device)
    return out, torch.empty(len(out), 1, dtype=torch.float32, device=like.device) if fp8 else None


def _warps(block: int) -> int:
    return max(1, min(16, block // 512))
