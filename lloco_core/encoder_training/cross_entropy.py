"""Losses over a vocabulary without the logits of a whole sequence in memory.

Positions go through the output layer in chunks. The gradient of a chunk's logits is known as soon as these are: it is taken at once, and
the logits are dropped, neither kept nor computed again for the backward pass. Liger-Kernel does so for cross entropy and for divergences
(arXiv 2410.10989, section 3.2), but not for both of the same logits, which are half of the work. Under ZeRO-3, which hands out weights only
around calls of a layer, logits are computed again in the backward pass.
Shape suffixes: N positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from lloco_core.training.engine import is_partitioned

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def summed_cross_entropy(head: nn.Linear, hidden_NH: torch.Tensor, target_N: torch.Tensor, chunk: int) -> torch.Tensor:
    """Cross entropy summed over the positions, fp32 scalar.

    Args:
        head: the output layer.
        target_N: the token each position predicts.
        chunk: positions whose logits are held at once.
    """

    def of_chunk(hidden_nH: torch.Tensor, target_n: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(head(hidden_nH).float(), target_n, reduction="sum")

    if is_partitioned(head.weight) or head.bias is not None:
        return _sum_over_chunks(of_chunk, (hidden_NH, target_N), chunk)
    return _HeadLosses.apply(hidden_NH, head.weight, target_N, None, None, 0.0, chunk)[0]


def summed_cross_entropy_and_divergence(
    head: nn.Linear,
    hidden_NH: torch.Tensor,
    target_N: torch.Tensor,
    first_head: nn.Linear,
    first_hidden_NH: torch.Tensor,
    ratio: float,
    chunk: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy and KL(first || now), each summed over the positions, fp32 scalars.

    The gradient of `cross entropy + ratio * KL` flows through the first of them, none through the second, and none reaches the first model.

    Args:
        head, target_N, chunk: as above.
        first_head: the output layer of the first model.
        first_hidden_NH: what it reads at the same positions.
    """

    def of_chunk(hidden_nH: torch.Tensor, target_n: torch.Tensor, first_nH: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            first_nV = first_head(first_nH).float().log_softmax(-1)
        now_nV = head(hidden_nH).float().log_softmax(-1)
        cross_entropy = F.nll_loss(now_nV, target_n, reduction="sum")
        return torch.stack([cross_entropy, F.kl_div(now_nV, first_nV, reduction="sum", log_target=True)])

    if is_partitioned(head.weight) or head.bias is not None or first_head.bias is not None:
        cross_entropy, divergence = _sum_over_chunks(of_chunk, (hidden_NH, target_N, first_hidden_NH), chunk)
        return cross_entropy + ratio * (divergence - divergence.detach()), divergence.detach()
    return _HeadLosses.apply(hidden_NH, head.weight, target_N, first_hidden_NH, first_head.weight, ratio, chunk)


class _HeadLosses(torch.autograd.Function):
    """Summed cross entropy, with the gradient of `cross entropy + ratio * KL`, and summed KL, without one."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: torch.Tensor,
        weight_VH: torch.Tensor,
        target_N: torch.Tensor,
        first_hidden_NH: torch.Tensor | None,
        first_weight_VH: torch.Tensor | None,
        ratio: float,
        chunk: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        of_logits = _compiled_losses() if hidden_NH.is_cuda else _losses_of_logits
        gradient_NH = torch.empty_like(hidden_NH)
        gradient_VH = torch.zeros_like(weight_VH, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        sums = torch.zeros(2, device=hidden_NH.device)
        for start in range(0, len(hidden_NH), chunk):
            part = slice(start, start + chunk)
            first_nV = None if first_hidden_NH is None else first_hidden_NH[part] @ first_weight_VH.T
            gradient_nV, found = of_logits(hidden_NH[part] @ weight_VH.T, target_N[part], first_nV, ratio)
            sums += found
            gradient_NH[part] = gradient_nV @ weight_VH
            if gradient_VH is not None:
                gradient_VH += gradient_nV.T @ hidden_NH[part]
        ctx.save_for_backward(gradient_NH, gradient_VH)
        ctx.dtype = weight_VH.dtype
        cross_entropy, divergence = sums.unbind()
        ctx.mark_non_differentiable(divergence)
        return cross_entropy, divergence

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor, _divergence: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient_NH, gradient_VH = ctx.saved_tensors
        of_weight = None if gradient_VH is None else (outer * gradient_VH).to(ctx.dtype)
        return (outer * gradient_NH).to(gradient_NH.dtype), of_weight, None, None, None, None, None


def _losses_of_logits(
    now_nV: torch.Tensor, target_n: torch.Tensor, first_nV: torch.Tensor | None, ratio: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient with respect to the logits, in their format, and the two sums [2]."""
    log_now_nV = now_nV.float().log_softmax(-1)
    is_target_nV = torch.arange(now_nV.shape[1], device=now_nV.device) == target_n[:, None]
    cross_entropy = -torch.where(is_target_nV, log_now_nV, 0.0).sum()
    gradient_nV = log_now_nV.exp() - is_target_nV.float()
    divergence = torch.zeros_like(cross_entropy)
    if first_nV is not None:
        log_first_nV = first_nV.float().log_softmax(-1)
        first_nV = log_first_nV.exp()
        divergence = (first_nV * (log_first_nV - log_now_nV)).sum()
        gradient_nV = gradient_nV + ratio * (log_now_nV.exp() - first_nV)
    return gradient_nV.to(now_nV.dtype), torch.stack([cross_entropy, divergence])


@cache
def _compiled_losses() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """The same as a few kernels that read the logits three times in all."""
    return torch.compile(_losses_of_logits, dynamic=True)


def _sum_over_chunks(of_chunk: Callable[..., torch.Tensor], tensors: tuple[torch.Tensor, ...], chunk: int) -> torch.Tensor:
    n_chunks = -(-len(tensors[0]) // chunk)
    if n_chunks <= 1:
        return of_chunk(*tensors)
    pieces = zip(*(tensor.tensor_split(n_chunks) for tensor in tensors), strict=True)
    # no dropout in an output layer: nothing random to restore
    return torch.stack([checkpoint(of_chunk, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]).sum(0)
