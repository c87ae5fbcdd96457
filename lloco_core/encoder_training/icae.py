"""The objectives of an ICAE (Ge et al. 2023, arXiv 2307.06945, sections 2.2 and 2.3).

The first part of a row is compressed, and the frozen base model reads what stands behind its slots:
- `ae`:  `[slots ; AE ; the same text ; end token]`, all of text and end token supervised;
- `lm`:  `[slots ; rest of the row]`, supervised but for the first 8 tokens, which leave the model time to find its place;
- `ft`:  `[slots ; FT ; prompt ; answer]` about whole rows, the answer supervised, with the slots of the segments up to the first
  that ends at or behind the place of the question.
Each is a loss of its own with its own encoding pass, and the mean over its supervised tokens.
Shape suffixes: B rows, T tokens, P slots, M readings, N positions, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from lloco_core.compressor.icae_checkpoint import PUBLISHED_SEGMENT_LENGTH
from lloco_core.compressor.segment import Segmentation
from lloco_core.encoder_training.cross_entropy import summed_cross_entropy
from lloco_core.encoder_training.objective import Loss
from lloco_core.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import nn

    from lloco_core.encoder_training.batch import Answer, Batch
    from lloco_core.encoder_training.icae_module import IcaeModule

UNSUPERVISED_CONTINUATION = 8
"""First tokens of a continuation that are not learned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IcaeObjectiveConfig:
    """What is learned from a batch, and in which shares."""

    end_token: int
    """Token id that ends a reconstruction."""
    segment_length: int = PUBLISHED_SEGMENT_LENGTH
    """Tokens of a segment at most."""
    context_share: float = 0.5
    """Share of a row that `ae` and `lm` compress."""
    ae_weight: float = 1.0
    lm_weight: float = 1.0
    ft_weight: float = 1.0
    """Weights against one another; 0 leaves an objective out. A batch without answers has no `ft`."""
    logits_chunk: int = 4096
    """Positions whose logits are held at once."""

    def __post_init__(self) -> None:
        weights = (self.ae_weight, self.lm_weight, self.ft_weight)
        if min(weights) < 0 or not sum(weights):
            raise ConfigurationError(f"ae_weight, lm_weight, ft_weight are {weights}; none may be negative, and one must be above 0")
        if not 0 < self.context_share < 1:
            raise ConfigurationError(f"context_share {self.context_share} leaves nothing to compress or nothing to continue; use .5")
        if self.segment_length < 1 or self.logits_chunk < 1:
            raise ConfigurationError(
                f"segment_length {self.segment_length} and logits_chunk {self.logits_chunk} must be at least 1; use 512 and 4096"
            )


class Reading(NamedTuple):
    """What the base model reads behind the slots of a row."""

    row: int
    n_segments: int
    """Leading segments whose slots it sees."""
    token_ids_N: torch.Tensor
    n_given: int
    """Leading tokens without loss."""


class IcaeObjective:
    """Losses of batches on an `IcaeModule`, bare or inside a DeepSpeed engine."""

    def __init__(self, config: IcaeObjectiveConfig) -> None:
        self.config = config
        self._segmentation = Segmentation(config.segment_length, equal=True)

    def losses(self, model: nn.Module, batch: Batch) -> Iterator[Loss]:
        """Reconstruction, continuation, answers; those with weight 0 are left out.

        Raises:
            ConfigurationError: rows are too short, an answer does not fit its batch, or nothing of the batch is supervised.
        """
        config, n_tokens = self.config, batch.text_BT.shape[1]
        cut = round(config.context_share * n_tokens)
        if cut < 1 or n_tokens - cut <= UNSUPERVISED_CONTINUATION:
            raise ConfigurationError(f"rows of {n_tokens} tokens are too short to be cut at token {cut}; use longer ones")
        ft_weight = config.ft_weight * bool(batch.answers)
        whole = config.ae_weight + config.lm_weight + ft_weight
        if not whole:
            raise ConfigurationError("ft_weight alone is above 0, and a batch has no answers; set ae_weight or lm_weight as well")
        context_BT, rest_BT = batch.text_BT.tensor_split([cut], dim=1)
        bounds = self._segmentation.bounds(cut)
        if config.ae_weight:
            ends_B1 = context_BT.new_full((len(context_BT), 1), config.end_token)
            texts = torch.cat([context_BT, ends_B1], dim=1)
            readings = [Reading(row, len(bounds), text, 0) for row, text in enumerate(texts)]
            yield self._loss("ae", config.ae_weight / whole, model, context_BT, bounds, readings, "AE")
        if config.lm_weight:
            readings = [Reading(row, len(bounds), text, UNSUPERVISED_CONTINUATION) for row, text in enumerate(rest_BT)]
            yield self._loss("lm", config.lm_weight / whole, model, context_BT, bounds, readings, None)
        if config.ft_weight:  # without answers too: what a worker runs must not depend on its batch
            bounds = self._segmentation.bounds(n_tokens)
            readings = [_reading(answer, bounds, batch.text_BT) for answer in batch.answers]
            yield self._loss("ft", ft_weight / whole, model, batch.text_BT, bounds, readings, "FT")

    def _loss(
        self,
        name: str,
        weight: float,
        model: nn.Module,
        context_BT: torch.Tensor,
        bounds: Sequence[tuple[int, int]],
        readings: list[Reading],
        control: str | None,
    ) -> Loss:
        chunk = self.config.logits_chunk if name != "ft" else None
        n_targets = sum(len(reading.token_ids_N) - reading.n_given for reading in readings)
        return Loss(model(_mean_loss, context_BT, bounds, readings, control, chunk), weight, name, n_targets)


def _mean_loss(
    module: IcaeModule,
    context_BT: torch.Tensor,
    bounds: Sequence[tuple[int, int]],
    readings: list[Reading],
    control: str | None,
    chunk: int | None,
) -> torch.Tensor:
    """Mean cross entropy over the supervised tokens of all readings.

    Rows are padded on the right: under a causal mask nothing that counts sees the padding. Without readings the same modules run
    on one token, and the loss is 0.

    Args:
        chunk: positions whose logits are held at once; None: all, where their number depends on the batch.
    """
    slots_BPH = module.read(context_BT, bounds)
    control_H = slots_BPH[0, :0] if control is None else module.control(control)
    asked = readings or [Reading(0, len(bounds), context_BT[0, :1], 1)]
    inputs, predicting = [], []
    for reading in asked:
        slots_PH = slots_BPH[reading.row, : reading.n_segments * module.memory_tokens]
        inputs.append(torch.cat([slots_PH, control_H, module.embed(reading.token_ids_N)]))
        end = len(inputs[-1]) - 1
        predicting.append(torch.arange(end - len(reading.token_ids_N) + reading.n_given, end, device=context_BT.device))
    hidden_MNH = module.decode(pad_sequence(inputs, batch_first=True))
    hidden_NH = torch.cat([hidden_NH[rows] for hidden_NH, rows in zip(hidden_MNH, predicting, strict=True)])
    target_N = torch.cat([reading.token_ids_N[reading.n_given :] for reading in asked])
    n_targets = max(1, len(target_N))
    return summed_cross_entropy(module.lm_head, hidden_NH, target_N, chunk or n_targets) / n_targets


def _reading(answer: Answer, bounds: Sequence[tuple[int, int]], text_BT: torch.Tensor) -> Reading:
    n_rows, n_tokens = text_BT.shape
    if not (0 <= answer.row < n_rows and 0 <= answer.after <= n_tokens) or not len(answer.answer):
        raise ConfigurationError(
            f"an answer of {len(answer.answer)} tokens to row {answer.row} after token {answer.after} does not fit a batch of "
            f"{n_rows} rows of {n_tokens} tokens; look at the source of the batches"
        )
    n_segments = 1 + next(index for index, (_, end) in enumerate(bounds) if end >= answer.after)
    return Reading(answer.row, n_segments, torch.cat([answer.prompt, answer.answer]).to(text_BT.device), len(answer.prompt))
