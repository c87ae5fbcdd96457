"""The shape of the compression graph on Ray Data: read (tasks) -> encode (actors) -> write (tasks), one shard per row.

What runs in the stages is given to it. An encoder takes several shards at once: the only way Ray Data 2.60 has for one row per
block is `max_concurrent_calls_per_actor` together with `enable_true_multi_threading`. Without the second it serialises the calls
behind a pool of one thread, and an async callable class only overlaps the rows within a block.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Row = dict[str, Any]

NO_PROGRESS_SECONDS = 4 * 3600
"""Waiting for spare capacity is no failure; the flow's own timeout bounds a night."""


@dataclass(frozen=True, slots=True)
class EncoderPool:
    """How many encoder actors there are, what each takes of its node, and how many shards it works on at once."""

    min_size: int
    max_size: int
    num_cpus: float
    num_gpus: float
    shards_in_flight: int

    @property
    def queue_per_encoder(self) -> int:
        """Shards sent to an encoder: those it works on and as many that wait there, tokenised.

        Ray Data grows a pool above 1.75 shards sent per shard worked on, so fewer than twice as many would stop it growing.
        """
        return 2 * self.shards_in_flight

    @property
    def shards_held(self) -> int:
        """Upper bound of shards between the start of their reading and the end of their writing, over all nodes.

        Per encoder: its queue, and two that are being read, handed over, or written. This bounds memory; Ray Data alone would
        read on until its share of the object store is full.
        """
        return self.max_size * (self.queue_per_encoder + 2)


def run_graph(
    rows: Sequence[Row], read: Callable[[Row], Row], encoder: type, write: Callable[[Row], Row], pool: EncoderPool
) -> Iterator[Row]:
    """Send rows through the three stages; yields what `write` returns, in the order of completion.

    Args:
        rows: small descriptions, one per shard.
        read: runs in tasks, ahead of the encoders.
        encoder: callable class of the actors, without constructor arguments; called by `shards_in_flight` threads at once.
        write: runs in tasks.
        pool: size of the encoders' pool.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    from lloco_core.distributed.backpressure import bound_rows

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # progress is reported per commit
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = NO_PROGRESS_SECONDS
    bound_rows(context, pool.shards_held)
    actors = ActorPoolStrategy(
        min_size=pool.min_size,
        max_size=pool.max_size,
        max_concurrent_calls_per_actor=pool.shards_in_flight,
        max_tasks_in_flight_per_actor=pool.queue_per_encoder,
        enable_true_multi_threading=True,
    )
    graph = (
        ray.data.from_items(list(rows), override_num_blocks=len(rows))
        .map(read, num_cpus=0.5)
        .map(encoder, compute=actors, num_cpus=pool.num_cpus, num_gpus=pool.num_gpus)
        .map(write, num_cpus=0.5)
    )
    yield from graph.iter_rows()
