"""Where a row is cut: equal substeps, and in each of them random break points, the same for all rows of a batch.

Rows of a batch share their cuts, so every forward pass is dense. Pure arithmetic on torch's default generator.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from lloco_core.errors import ConfigurationError


def cut_row(n_tokens: int, substeps: int, segments: int, multiple: int) -> list[list[int]]:
    """Draw the cuts of a row of `n_tokens`: per substep its start, its break points, and its end.

    Break points are distinct and uniform over the multiples of `multiple` inside the substep.

    Raises:
        ConfigurationError: a substep is too short for its segments.
    """
    bounds = [n_tokens * k // substeps for k in range(substeps + 1)]
    return [_cut_substep(start, end, segments, multiple) for start, end in pairwise(bounds)]


def _cut_substep(start: int, end: int, segments: int, multiple: int) -> list[int]:
    n_places = (end - start - 1) // multiple
    if n_places < segments - 1 or end - start < 2:
        raise ConfigurationError(
            f"a substep of {end - start} tokens cannot be cut into {segments} segments at multiples of {multiple}; use longer rows"
        )
    places = 1 + torch.randperm(n_places)[: segments - 1].sort().values
    return [start, *(start + multiple * places).tolist(), end]
