"""The operations between the matrix products of a decoder layer, in plain PyTorch. `kernels` has the same ones fused for a GPU.

Shape suffixes: M positions of a step, H hidden size, C columns of the joint q/k/v projection, D head dimension,
I intermediate size, N positions of the key/value buffer, K key/value heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

FP8 = torch.float8_e4m3fn
FP8_MAX = 448.0
FP8_UNIT = 1 / FP8_MAX
"""Multiplied with, as PyTorch divides by a number in one way on a GPU and in another on a CPU."""


@dataclass(frozen=True, slots=True)
class Fp8Rows:
    """A matrix as float8_e4m3 with one float32 scale per row [M, 1]."""

    values: torch.Tensor
    scale: torch.Tensor

    def __getitem__(self, rows: torch.Tensor) -> Fp8Rows:
        return Fp8Rows(self.values.view(torch.uint8)[rows].view(FP8), self.scale[rows])


Activation = torch.Tensor | Fp8Rows


@dataclass(frozen=True, slots=True)
class Rotary:
    """Rotary position embedding: table of cosines and sines [n, D / 2] float32."""

    cos: torch.Tensor
    sin: torch.Tensor


@dataclass(frozen=True, slots=True)
class HeadNorm:
    """RMS norm over every query and key head before the rotation (Qwen3)."""

    query_D: torch.Tensor
    key_D: torch.Tensor
    eps: float


def rms_norm(x_MH: torch.Tensor, delta_MH: torch.Tensor | None, weight_H: torch.Tensor, eps: float, fp8: bool) -> Activation:
    """Add `delta` to `x` in place, if there is one, and return the normed sum."""
    if delta_MH is not None:
        x_MH.add_(delta_MH)
    normed = _rms_norm(x_MH, weight_H, eps)
    return quantize_rows(normed) if fp8 else normed


def _rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    x_float = x.float()
    return weight * (x_float * torch.rsqrt(x_float.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)


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
    """Rotate queries and keys; keys and values go to their slots of the buffer, the queries [M, heads, D] are returned.

    Without slots the columns hold queries only; with `n_query_heads` 0 they hold keys and values only.
    """
    kv_heads = 0 if slots_M is None else keys_NKD.shape[1]
    heads = qkv_MC.view(len(qkv_MC), -1, keys_NKD.shape[2])
    query, key, value = heads.split([n_query_heads, kv_heads, kv_heads], dim=1)
    if norm is not None:
        query, key = _rms_norm(query, norm.query_D, norm.eps), _rms_norm(key, norm.key_D, norm.eps)
    cos, sin = rotary.cos[positions_M][:, None], rotary.sin[positions_M][:, None]
    if slots_M is not None:
        keys_NKD[slots_M] = _rotate(key, cos, sin)
        values_NKD[slots_M] = value
    return _rotate(query, cos, sin)


def _rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = heads.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(heads.dtype)


def gated_silu(gate_up: torch.Tensor, fp8: bool) -> Activation:
    """`silu(gate) * up` of the joint projection [M, 2 I]."""
    gate, up = gate_up.chunk(2, dim=-1)
    product = F.silu(gate) * up
    return quantize_rows(product) if fp8 else product


def quantize_rows(x: torch.Tensor) -> Fp8Rows:
    """Scale every row to the range of float8_e4m3 and round."""
    x_float = x.float()
    scale = x_float.abs().amax(-1, keepdim=True).clamp(min=1e-12) * FP8_UNIT
    return Fp8Rows((x_float / scale).clamp(-FP8_MAX, FP8_MAX).to(FP8), scale)
