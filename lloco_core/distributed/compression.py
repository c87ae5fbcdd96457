"""Compressing shards on Ray: what runs in the three stages of the `graph`. The encoders hold a GPU where there is one.

One row is one shard. Rows that reach the driver are small shard records; vectors never do. A worker that dies is replaced
and its shard repeated by Ray, which `poison` bounds; whatever the first attempt wrote is either the shard's record or an orphan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any

from lloco_core.distributed.graph import EncoderPool, run_graph
from lloco_core.distributed.session import encoder_resources, shards_in_flight
from lloco_core.errors import EncodingError
from lloco_core.store.write import Writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from lloco_core.config import ClusterConfig, CorpusConfig, EncoderConfig, RetrievalConfig
    from lloco_core.continuation import Continuation
    from lloco_core.store.plans import StoredPlan
    from lloco_core.store.records import ShardRecord
    from lloco_core.types import CompressedShard, Shard, TokenizedShard


@dataclass(frozen=True)
class CompressionJob:
    """Everything a worker needs to know. Small and picklable: paths and numbers, never weights."""

    run_id: str
    store_uri: str
    corpus: CorpusConfig
    encoder: EncoderConfig
    retrieval: RetrievalConfig
    encoder_fingerprint: str
    segment_length: int
    summary_length: int
    base_versions: dict[str, int]
    """Versions of the tables that the plan was made with: changed documents are continued from their rows."""
    centroids: np.ndarray | None
    corpus_uri: str = ""
    staged_groups: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    """Names of documents to leave out, as hashes (`store.forgetting.forgotten`)."""
    equal_segments: bool = False

    @property
    def writing(self) -> Writing:
        """What the rows of this job have in common."""
        return Writing(self.run_id, self.encoder_fingerprint, self.summary_length, self.corpus_uri, self.staged_groups)


def compress_shards(plan: StoredPlan, numbers: Sequence[int], job: CompressionJob, cluster: ClusterConfig) -> Iterator[ShardRecord]:
    """Run the graph for these shards of a plan; yields a record for every one, in the order of completion."""
    resources = encoder_resources(job.encoder, cluster)
    pool = EncoderPool(
        min_size=min(cluster.encoders, len(numbers)),
        max_size=cluster.max_encoders or cluster.encoders,
        num_cpus=resources["num_cpus"],
        num_gpus=resources["num_gpus"],
        shards_in_flight=shards_in_flight(job.encoder, cluster),
    )
    actor = _compress_actor(job, int(pool.num_cpus) or 1)
    rows = [{"number": number, "rows": plan.rows_of(number)} for number in numbers]
    for row in run_graph(rows, partial(_read, plan_id=plan.plan_id, job=job), actor, partial(_write, job=job), pool):
        yield row["record"]


def _compress_actor(job: CompressionJob, threads: int) -> type[_Compress]:
    """The actor class with its arguments inside: as constructor arguments they would be objects that a restart can miss."""

    class Compress(_Compress):
        def __init__(self) -> None:
            super().__init__(job, threads)

    return Compress


def _read(row: dict[str, Any], plan_id: str, job: CompressionJob) -> dict[str, TokenizedShard]:
    from lloco_core.store.plans import load_shard
    from lloco_core.store.tables import Store

    return {"shard": read_planned(load_shard(Store(job.store_uri), plan_id, row["number"], *row["rows"]), job)}


def read_planned(shard: Shard, job: CompressionJob) -> TokenizedShard:
    """Read, parse, and tokenise a shard on a worker, which keeps the tokenizer and the open tables for the next one."""
    from lloco_core.pipeline import read_shard

    versions = tuple(sorted(job.base_versions.items()))
    continuation = _continuation(job.store_uri, versions, job.encoder_fingerprint, job.segment_length, job.equal_segments)
    return read_shard(shard, job.corpus, _tokenizer(job.encoder.model), job.encoder_fingerprint, continuation, job.forgotten)


@cache
def _tokenizer(model: str) -> Any:
    from lloco_core.compressor.loading import tokenizer_folder
    from lloco_core.compressor.tokenizing import load_tokenizer

    return load_tokenizer(tokenizer_folder(model))


@lru_cache(maxsize=1)
def _continuation(
    store_uri: str, base_versions: tuple[tuple[str, int], ...], encoder_fingerprint: str, segment_length: int, equal_segments: bool
) -> Continuation:
    """Kept over the shards of a plan, so that a worker opens the tables once."""
    from lloco_core.compressor.segment import Segmentation
    from lloco_core.continuation import open_continuation
    from lloco_core.store.tables import Store

    return open_continuation(Store(store_uri), dict(base_versions), encoder_fingerprint, Segmentation(segment_length, equal_segments))


class _Compress:
    """Encoder actor: loads the models once. Several threads call it, each with a shard of its own."""

    def __init__(self, job: CompressionJob, threads: int) -> None:
        import torch

        from lloco_core.compressor import load_encoder
        from lloco_core.encoder_turns import EncoderTurns
        from lloco_core.objects import open_objects
        from lloco_core.observe.busy import EncoderMeter
        from lloco_core.retrieval.embedder import Embedder

        torch.set_num_threads(threads)
        config = job.encoder
        self.job = job
        self.encoder = load_encoder(
            config.model,
            config.device,
            config.dtype,
            segment_length=config.segment_length,
            batch_tokens=config.batch_tokens,
            quantization=config.quantization,
            memory_fraction=config.memory_fraction,
        )
        if self.encoder.fingerprint != job.encoder_fingerprint:
            raise EncodingError(
                f"this worker's files of {config.model!r} have fingerprint {self.encoder.fingerprint}, the plan was made with "
                f"{job.encoder_fingerprint}; give all nodes the same checkpoint"
            )
        self.embedder = Embedder(job.retrieval.model, config.device)
        self.meter = EncoderMeter(self.encoder)
        self.objects = open_objects(job.store_uri)
        self.turns = EncoderTurns()

    def __call__(self, row: dict[str, Any]) -> dict[str, CompressedShard]:
        from lloco_core.poison import compress_bounded

        return {"shard": compress_bounded(row["shard"], self._compress, self.objects, self.turns)}

    def _compress(self, shard: TokenizedShard) -> CompressedShard:
        from lloco_core.pipeline import compress_shard

        return compress_shard(shard, self.encoder, self.embedder, self.job.retrieval.passage_chars, self.job.centroids, self.meter)


def _write(row: dict[str, Any], job: CompressionJob) -> dict[str, ShardRecord]:
    from lloco_core.store.tables import Store
    from lloco_core.store.write import write_shard

    store = Store(job.store_uri)
    return {"record": write_shard(store, row["shard"], job.writing)}
