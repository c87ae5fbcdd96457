"""Where a row is cut: equal substeps, and in each of them random or equally spaced break points, the same for all rows of a batch.

Rows of a batch share their cuts, so every forward pass is dense. Pure arithmetic on torch's default generator.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from lloco_core.errors import ConfigurationError

if TYPE_CHECKING:
    from lloco_core.encoder_training.recipe import AutoCompressorConfig


def cut_row(n_tokens: int, config: AutoCompressorConfig) -> list[list[int]]:
    """Draw the cuts of a row of `n_tokens`: per substep its start, its break points, and its end.

    Random break points are distinct and uniform over the multiples of `segment_multiple` inside the substep.

    Raises:
        ConfigurationError: a substep is too short for its segments.
    """
    bounds = _evenly(0, n_tokens, max(1, round(n_tokens / config.substep_tokens)))
    even = config.even_cuts > 0 and float(torch.rand(())) < config.even_cuts
    return [
        _evenly(start, end, config.segments) if even else _at_random(start, end, config.segments, config.segment_multiple)
        for start, end in pairwise(bounds)
    ]


def _evenly(start: int, end: int, parts: int) -> list[int]:
    return [start + (end - start) * k // parts for k in range(parts + 1)]


def _at_random(start: int, end: int, segments: int, multiple: int) -> list[int]:
    n_places = (end - start - 1) // multiple
    if n_places < segments - 1 or end - start < 2:
        raise ConfigurationError(
            f"a substep of {end - start} tokens cannot be cut into {segments} segments at multiples of {multiple}; use longer rows"
        )
    places = 1 + torch.randperm(n_places)[: segments - 1].sort().values
    return [start, *(start + multiple * places).tolist(), end]
