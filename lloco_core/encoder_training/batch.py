"""What a training step reads: rows of token ids and questions about them.

Shape suffixes: B rows, T tokens of a row, P tokens of a prompt, A tokens of an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of equal shape: no padding inside the text."""

    text_BT: torch.Tensor
    """int64 [B, T], consecutive tokens of packed documents or of one document per row."""
    answers: list[Answer]
    """May be empty."""


class Answer(NamedTuple):
    """A question about a row, answered after everything before `after` was compressed."""

    row: int
    after: int
    """Token position in the row; the loss is computed after the first segment that ends at or behind it."""
    prompt: torch.Tensor
    """int64 [P], unsupervised."""
    answer: torch.Tensor
    """int64 [A], supervised, the end token included."""
