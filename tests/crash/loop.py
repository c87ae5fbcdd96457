"""An ingest without Ray: the same driver code, with a for-loop over shards and a toy encoder.

As a program it runs drills: it forks a process per drill, which ingests and kills itself (SIGKILL) at the named point.
`python -m tests.crash.loop <corpus> <run_id> <point>=<store> ...` prints the signal that ended each. Options of the corpus stand as JSON
in `LOOP_OPTIONS`. Lance, which is not fork-safe, is imported only after the fork.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

import lloco_core.pipeline as pipeline
from lloco_core.compressor.segment import Segmentation, segment_bounds
from lloco_core.continuation import open_continuation
from lloco_core.fingerprint import digest
from lloco_core.planning import plan_corpus
from tests.crash.drill import DIMENSION, ENCODER, HIDDEN, SUMMARY, configuration, die, finish

assert plan_corpus  # imported before the fork, as it takes long


class ToyTokenizer:
    """A token per character."""

    def __call__(self, text: str, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[ord(char) for char in text], offset_mapping=[(i, i + 1) for i in range(len(text))])


class ToyEncoder:
    """Vectors of a segment that follow from its name, its token ids, and the vectors before it. They are float16 numbers, so that
    continuing a document gives exactly what encoding all of it gives."""

    segment_length = 64
    segmentation = Segmentation(segment_length)
    summary_length, hidden_size = SUMMARY, HIDDEN
    busy_seconds = 0.0

    def __init__(self, fingerprint: str = ENCODER) -> None:
        self.fingerprint = fingerprint

    def encode(self, documents: list[np.ndarray], prefix: list[np.ndarray | None]) -> list[torch.Tensor]:
        return [self._vectors(ids, before) for ids, before in zip(documents, prefix, strict=True)]

    def _vectors(self, ids: np.ndarray, before: np.ndarray | None) -> torch.Tensor:
        vectors = [np.zeros((0, HIDDEN), np.float16) if before is None else before]
        for start, end in segment_bounds(len(ids), self.segment_length):
            seed = int(digest([self.fingerprint, np.concatenate(vectors).tobytes().hex(), ids[start:end].tolist()], 8), 16)
            vectors.append(np.random.default_rng(seed).standard_normal((SUMMARY, HIDDEN)).astype(np.float16))
        return torch.from_numpy(np.concatenate(vectors[1:]).astype(np.float32))


class ToyEmbedder:
    """Unit vectors that follow from the text alone."""

    def embed(self, texts: list[str]) -> np.ndarray:
        vectors = np.stack([np.random.default_rng(int(digest(text, 8), 16)).standard_normal(DIMENSION) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def ingest(
    corpus: Path, store_uri: str, run_id: str, point: str = "", encoder: str = ENCODER, options: Any = None, **layout: Any
) -> dict[str, Any]:
    """One whole ingest; `options` are of the corpus, `layout` of the store. Which documents were encoded, by any run, is noted in
    `<store>.encoded` beside a folder store."""
    from lloco_core.distributed import ingest as driver
    from lloco_core.distributed.models import ModelFacts
    from lloco_core.store.fencing import commit_lease
    from lloco_core.store.tables import Store

    arm(point)
    store = Store(store_uri)
    models = ModelFacts(encoder, ToyEncoder.segment_length, SUMMARY, HIDDEN, DIMENSION)
    layout = {"commit_every": 100} if point == "before the first commit" else layout
    config = configuration(corpus, store_uri, options, **layout)
    waiting = config.store.lease_seconds, config.store.lease_wait_seconds
    with commit_lease(store, run_id, *waiting) as lease, patch.object(driver, "compress_shards", _loop):
        store.create_tables(SUMMARY, HIDDEN, DIMENSION)
        return finish(driver.Ingest(run_id, config, store, lease, models, driver.finish_interrupted(store, lease)))


def _loop(plan: Any, numbers: Any, job: Any, _: Any) -> Iterator[Any]:
    from lloco_core.store.tables import Store
    from lloco_core.store.write import write_shard

    continuation = open_continuation(Store(job.store_uri), job.base_versions, job.encoder_fingerprint, Segmentation(job.segment_length))
    for shard in (plan[number] for number in numbers):
        tokenized = pipeline.read_shard(shard, job.corpus, ToyTokenizer(), job.encoder_fingerprint, continuation)
        toy = ToyEncoder(job.encoder_fingerprint)
        compressed = pipeline.compress_shard(tokenized, toy, ToyEmbedder(), job.retrieval.passage_chars, None)
        with open(os.devnull if "://" in job.store_uri else f"{job.store_uri}.encoded", "a") as log:
            log.writelines(f"{document.document.title}\n" for document in compressed.documents if document.n_encoded_tokens)
        yield write_shard(Store(job.store_uri), compressed, job.writing)


BATCH = 1
"""How many batches are committed before the one that is interrupted."""

N_SHARDS = 4
"""Shards of the changed corpus."""

POINTS = (
    "before the plan is written",
    "before the plan is opened",
    "before a record",
    "before the first commit",
    "before segments",
    "before passages",
    "before documents",
    "before retiring",
    "before removing",
    "before quarantine",
    "before ledger",
    "after ledger",
    "before what is gone is recorded",
    "before what is gone is removed",
    "before the plan is closed",
    "before switching",
    "before indexing",
    "before publishing",
    "between two tags",
    "between tags and night",
)


def arm(point: str) -> None:
    """Let this process kill itself at a point."""
    from lance.dataset import Tags

    from lloco_core.distributed import ingest as driver
    from lloco_core.planning import plan
    from lloco_core.store import commit, index, nights, write

    committer = commit.Committer
    what, _, place = point.partition(" ")
    if point == "before the plan is written":
        kill_before(plan, "write_plan", 0)
    elif point == "before the plan is opened":
        kill_before(driver, "begin_plan", 0)
    elif point == "before a record":
        kill_before(write, "save_record", BATCH)
    elif point == "before the first commit":
        kill_before(committer, "commit", 0)
    elif place in ("segments", "passages", "documents", "ledger"):
        kill_at_append(place, what == "after")
    elif point == "before retiring":
        kill_before(commit, "retire_replaced", BATCH)
    elif point == "before removing":
        kill_before(commit, "remove_gone", BATCH)
    elif point == "before what is gone is recorded":
        kill_before(driver, "record_removal", 0)
    elif point == "before what is gone is removed":
        kill_before(commit, "remove_gone", N_SHARDS)
    elif point == "before switching":
        kill_before(driver, "switch_groups", 0)
    elif point == "before quarantine":
        kill_before(commit, "record_rejections", BATCH)
    elif point == "before the plan is closed":
        kill_before(committer, "close", 0)
    elif point == "before indexing":
        kill_before(index, "build_indices", 0)
    elif point == "before publishing":
        kill_before(nights, "publish_night", 0)
    elif point == "between two tags":
        kill_before(Tags, "create", 1)
    elif point == "between tags and night":
        kill_before(nights, "open_to_write", 0)
    elif point == "before freed ids are looked for":
        kill_before(driver, "freed_claims", 0)
    elif point == "before freed ids are planned":
        kill_before(plan, "write_plan", 1)
    elif point == "in recovery":
        kill_before(commit, "retire_replaced", 0)
    else:
        assert not point, point


def kill_before(owner: Any, name: str, calls: int) -> None:
    original, seen = getattr(owner, name), []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if len(seen) == calls:
            die()
        seen.append(name)
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def kill_at_append(table: str, afterwards: bool) -> None:
    from lloco_core.store.commit import Committer

    original, seen = Committer._append, []

    def wrapped(self: Any, name: str, *args: Any) -> None:
        seen.extend([name] if name == table else [])
        now = name == table and len(seen) == BATCH + 1
        if now and not afterwards:
            die()
        original(self, name, *args)
        if now:
            die()

    Committer._append = wrapped


def main() -> None:
    corpus, run_id, *drills = sys.argv[1:]
    for drill in drills:
        point, _, store_uri = drill.partition("=")
        child = os.fork()
        if child == 0:
            ingest(Path(corpus), store_uri, run_id, point, options=json.loads(os.environ.get("LOOP_OPTIONS", "null")))
            os._exit(0)
        sys.stdout.write(f"{point}={os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")


if __name__ == "__main__":
    main()
