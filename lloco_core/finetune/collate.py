"""Rows of different lengths and vector counts as one batch.

Rows are padded on the right, positions count from 0, and padding is masked, so a padded batch gives every row what it
would get alone. The batch holds token ids and vectors apart; `soft_prompt` puts the vectors where `is_vector_BT` says.
Legend: B rows, T positions, N vectors of all rows, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from lloco_core.finetune.rows import Row

IGNORED = -100
"""Label of positions without loss, as torch's cross entropy knows it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows ready for `SoftPromptModel`."""

    token_ids_BT: torch.Tensor
    """int64; 0 where a vector or padding stands."""
    vectors_ND: torch.Tensor
    """float16; the vectors of row 0, then of row 1, and so on."""
    is_vector_BT: torch.Tensor
    """bool; as many True per row as the row has vectors, in their order."""
    attention_mask_BT: torch.Tensor
    """int64; 0 on padding."""
    position_ids_BT: torch.Tensor
    """int64; 0..T-1 in every row."""
    labels_BT: torch.Tensor
    """int64; the token itself on answer and EOS, `IGNORED` elsewhere. Not shifted."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        return Batch(*(getattr(self, item.name).to(device) for item in fields(self)))

    def without_loss(self) -> Batch:
        """The same batch with no labels: a rank that ran out of rows still takes part in the collective calls."""
        return replace(self, labels_BT=torch.full_like(self.labels_BT, IGNORED))

    @property
    def n_targets(self) -> int:
        """Positions the loss is taken over."""
        return int((self.labels_BT != IGNORED).sum())

    @property
    def n_positions(self) -> int:
        """Positions that are not padding."""
        return int(self.attention_mask_BT.sum())


def collate(rows: Sequence[Row]) -> Batch:
    """Pad rows into one batch."""
    shape_BT = (len(rows), max(len(row) for row in rows))
    token_ids_BT = np.zeros(shape_BT, dtype=np.int64)
    is_vector_BT = np.zeros(shape_BT, dtype=bool)
    attention_mask_BT = np.zeros(shape_BT, dtype=np.int64)
    labels_BT = np.full(shape_BT, IGNORED, dtype=np.int64)
    for index, row in enumerate(rows):
        n_vectors, n_prompt = len(row.vectors_KD), len(row.prompt_ids)
        is_vector_BT[index, :n_vectors] = True
        token_ids_BT[index, n_vectors : len(row)] = row.prompt_ids + row.answer_ids
        attention_mask_BT[index, : len(row)] = 1
        labels_BT[index, n_vectors + n_prompt : len(row)] = row.answer_ids
    return Batch(
        token_ids_BT=torch.from_numpy(token_ids_BT),
        vectors_ND=torch.from_numpy(np.concatenate([row.vectors_KD for row in rows])),
        is_vector_BT=torch.from_numpy(is_vector_BT),
        attention_mask_BT=torch.from_numpy(attention_mask_BT),
        position_ids_BT=torch.arange(shape_BT[1]).repeat(shape_BT[0], 1),
        labels_BT=torch.from_numpy(labels_BT),
    )
