"""Losses over a vocabulary without the logits of a whole sequence in memory.

Positions go through the output layer in chunks, and each chunk's logits are computed again in the backward pass: one chunk
of logits is held at a time, for a third more work in the output layer.
Shape suffixes: N positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable


def summed_cross_entropy(
    head: Callable[[torch.Tensor], torch.Tensor], hidden_NH: torch.Tensor, target_N: torch.Tensor, chunk: int
) -> torch.Tensor:
    """Cross entropy summed over the positions, fp32 scalar.

    Args:
        head: the output layer.
        target_N: the token each position predicts.
        chunk: positions whose logits are held at once.
    """

    def of_chunk(hidden_nH: torch.Tensor, target_n: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(head(hidden_nH).float(), target_n, reduction="sum")

    return _sum_over_chunks(of_chunk, (hidden_NH, target_N), chunk)


def summed_cross_entropy_and_divergence(
    head: Callable[[torch.Tensor], torch.Tensor],
    hidden_NH: torch.Tensor,
    target_N: torch.Tensor,
    first_head: Callable[[torch.Tensor], torch.Tensor],
    first_hidden_NH: torch.Tensor,
    chunk: int,
) -> torch.Tensor:
    """Cross entropy and KL(first || now), each summed over the positions, fp32 [2]. No gradient reaches the first model.

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

    return _sum_over_chunks(of_chunk, (hidden_NH, target_N, first_hidden_NH), chunk)


def _sum_over_chunks(of_chunk: Callable[..., torch.Tensor], tensors: tuple[torch.Tensor, ...], chunk: int) -> torch.Tensor:
    n_chunks = -(-len(tensors[0]) // chunk)
    if n_chunks <= 1:
        return of_chunk(*tensors)
    pieces = zip(*(tensor.tensor_split(n_chunks) for tensor in tensors), strict=True)
    # no dropout in an output layer: nothing random to restore
    return torch.stack([checkpoint(of_chunk, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]).sum(0)
