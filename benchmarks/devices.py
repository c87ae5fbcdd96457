"""One engine process per card, without Ray: how many documents a second N cards encode against one.

The documents are split by tokens beforehand. Every process loads, warms up, and waits at a barrier; the time runs from the
barrier to the last process that is done.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from benchmarks.clocks import CardWatch
from benchmarks.engines import build_engine
from benchmarks.shapes import build_weights
from benchmarks.useful import SUSTAINED_SECONDS, matrix_ceiling
from benchmarks.workloads import random_documents, split_by_tokens, warmup_lengths

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Barrier

START_SECONDS, RUN_SECONDS = 600, 3600
"""Longest waits: for all processes to be ready, and for their results."""


class Job(NamedTuple):
    """What every process is told."""

    shape: str
    engine: str
    device: str
    dtype: torch.dtype
    seed: int
    batch_tokens: int | None
    lengths: list[int]
    shares: list[list[int]]


class Finished(NamedTuple):
    """What a process reports: seconds of the machine's monotonic clock, GB, and TFLOP/s."""

    rank: int
    started: float
    ended: float
    peak_memory_gb: float | None
    card: dict[str, Any] | None
    """What `nvidia-smi` saw while it encoded."""
    sustained_tflops: float
    """The matrix product afterwards, on all devices at once."""


def run_processes(job: Job) -> tuple[float, list[Finished]]:
    """Seconds from the barrier to the last end, and every process's report.

    Raises:
        RuntimeError: a process failed or none reported in time.
    """
    context = torch.multiprocessing.get_context("spawn")
    barrier, reports = context.Barrier(len(job.shares)), context.Queue()
    processes = torch.multiprocessing.spawn(_encode_share, (job, barrier, reports), nprocs=len(job.shares), join=False)
    deadline = time.monotonic() + START_SECONDS + RUN_SECONDS
    while not processes.join(timeout=1.0):  # raises what a process raised
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(job.shares)} engine processes did not end within {START_SECONDS + RUN_SECONDS} s")
    finished = [reports.get(timeout=10) for _ in job.shares]
    return max(report.ended for report in finished) - min(report.started for report in finished), finished


def split_job(job: Job, processes: int) -> Job:
    """The same documents over so many processes."""
    return job._replace(shares=split_by_tokens(job.lengths, processes))


def _encode_share(rank: int, job: Job, barrier: Barrier, reports: Queue) -> None:
    on_card = job.device.startswith("cuda")
    device = f"cuda:{rank}" if on_card else job.device
    # as Ray does for its actors: processes that each take all cores wait for one another's threads, and the cards idle
    torch.set_num_threads(max(1, torch.get_num_threads() // len(job.shares)))
    if on_card:
        torch.cuda.set_device(device)
    weights = build_weights(job.shape, device, job.dtype, job.seed)
    engine = build_engine(job.engine, weights, job.batch_tokens)
    vocabulary = weights.model.config.vocab_size
    everything = random_documents(job.lengths, vocabulary, job.seed)
    documents = [everything[order] for order in job.shares[rank]]
    warmup = warmup_lengths([len(document) for document in documents], weights.segment_length, job.engine)
    engine.encode(random_documents(warmup, vocabulary, job.seed + 1))
    if on_card:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    barrier.wait(START_SECONDS)
    with CardWatch(device) if on_card else nullcontext() as watch:
        started = time.monotonic()
        engine.encode(documents)
        if on_card:
            torch.cuda.synchronize()
        ended = time.monotonic()
    peak = torch.cuda.max_memory_allocated() / 1e9 if on_card else None
    barrier.wait(RUN_SECONDS)
    sustained = matrix_ceiling(device, job.dtype, SUSTAINED_SECONDS)
    reports.put(Finished(rank, started, ended, peak, watch.seen if on_card else None, sustained))
