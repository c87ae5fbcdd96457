"""What the training loop expects of an objective: a batch becomes losses.

Everything random in an objective (break points, dropout) comes from torch's default generator. The loop seeds it anew for
every batch, so a resumed run and a run on another number of workers draw the same, and no generator state is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

    from lloco_core.encoder_training.batch import Batch


class Curve(NamedTuple):
    """A mean to be drawn over the steps."""

    name: str
    mean: torch.Tensor
    """Scalar, without a graph."""
    n_tokens: int
    """Supervised tokens behind it; steps and workers are averaged by them."""


class Loss(NamedTuple):
    """One scalar to be back-propagated."""

    mean: torch.Tensor
    """Scalar: weighted mean cross-entropy."""
    weight: float
    """Share of this loss in the batch; the weights of a batch sum to 1."""
    name: str
    """`lm`, `answer`, `plain`, `ae`, `ft`: for the curves."""
    n_tokens: int
    """Supervised tokens."""
    curves: tuple[Curve, ...] = ()
    """What to draw instead where several means share one graph; by default the loss itself under its name."""


class Objective(Protocol):
    """What a context encoder is trained on: a batch becomes losses, each back-propagated on its own."""

    def losses(self, model: nn.Module, batch: Batch) -> Iterator[Loss]:
        """Losses whose graphs do not depend on one another; the loop calls backward on each before it takes the next.

        `model` may be a DeepSpeed engine: one call of it makes one loss, and on all workers the calls and what they run
        are the same in number and order, whatever is in their batches.
        """
        ...
