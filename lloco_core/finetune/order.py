"""Which rank sees which row at which step: a pure function of the recipe, so a resumed run goes on where it stopped.

Every epoch is a seeded permutation in which each row appears exactly once. A step takes the next `global_batch` rows;
the last step of an epoch takes what is left, and its loss is the mean over those rows alone. Rank r takes rows r,
r + world, ... of the step, cut into micro-batches; a rank that runs short gets empty micro-batches, so that all ranks
make the same number of collective calls. Called by the loop; knows neither rows nor devices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lloco_core.errors import ConfigurationError
from lloco_core.fingerprint import digest

if TYPE_CHECKING:
    from lloco_core.config import FinetuneConfig


@dataclass(frozen=True, slots=True)
class RowOrder:
    """The whole run's schedule of rows."""

    n_rows: int
    world_size: int
    micro_batch: int
    accumulation: int
    """Micro-batches per rank and step."""
    steps_per_epoch: int
    total_steps: int
    seed: int

    def micro_batches(self, step: int, rank: int) -> list[list[int]]:
        """Row numbers of each micro-batch of `rank` at optimizer step `step`; empty lists where rows ran out."""
        epoch, position = divmod(step, self.steps_per_epoch)
        permutation = np.random.default_rng([self.seed, epoch]).permutation(self.n_rows)
        global_batch = self.micro_batch * self.accumulation * self.world_size
        mine = permutation[position * global_batch : (position + 1) * global_batch][rank :: self.world_size].tolist()
        return [mine[start : start + self.micro_batch] for start in range(0, self.accumulation * self.micro_batch, self.micro_batch)]

    def dropout_seed(self, step: int, rank: int) -> int:
        """Seed of everything random inside a step. Reseeding by step leaves no generator state to be checkpointed."""
        return int(digest([self.seed, step, rank], 12), 16)


def plan_order(recipe: FinetuneConfig, n_rows: int, world_size: int) -> RowOrder:
    """Fit the recipe's batches to the number of rows and ranks.

    A micro-batch larger than a rank's share of the global batch shrinks to the share; the result is the same.
    """
    if n_rows < 1:
        raise ConfigurationError("there are no training rows; give the group questions (questions.file or questions.teacher)")
    share, rest = divmod(recipe.global_batch, world_size)
    micro_batch = min(recipe.micro_batch, share)
    if rest or share % micro_batch:
        raise ConfigurationError(
            f"finetune.global_batch {recipe.global_batch} does not split into micro-batches of {recipe.micro_batch} on {world_size} ranks;"
            f" make global_batch a multiple of cluster.train_workers and of the micro-batch of each"
        )
    steps_per_epoch = math.ceil(n_rows / recipe.global_batch)
    total_steps = steps_per_epoch * recipe.epochs
    return RowOrder(
        n_rows=n_rows,
        world_size=world_size,
        micro_batch=micro_batch,
        accumulation=share // micro_batch,
        steps_per_epoch=steps_per_epoch,
        total_steps=min(total_steps, recipe.max_steps or total_steps),
        seed=recipe.seed,
    )
