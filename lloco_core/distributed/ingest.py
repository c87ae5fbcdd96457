"""One ingest: hold the lease, finish what a crash left, plan, compress, commit.

The driver's half of a document's life. The workers' half is `pipeline`, what a commit does is in `store.commit`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lloco_core.corpus.sources import corpus_uri
from lloco_core.distributed.compression import CompressionJob, compress_shards
from lloco_core.distributed.grouping import load_or_fit_centroids
from lloco_core.distributed.metrics import IngestMetrics, RayMetrics
from lloco_core.distributed.models import ModelFacts, inspect_models
from lloco_core.distributed.session import resolve_encoder
from lloco_core.errors import CommitError
from lloco_core.objects.conditional import check_conditional_writes
from lloco_core.observe.busy import EncoderBusy
from lloco_core.observe.cost import GroupCosts, Price
from lloco_core.observe.preview import Preview
from lloco_core.planning import Plan, plan_again, plan_corpus, preview_corpus
from lloco_core.store.commit import Committer, OnCommit, begin_plan, nobody, recover_plans
from lloco_core.store.costs import store_costs
from lloco_core.store.duplicates import freed_claims, settle_duplicates
from lloco_core.store.fencing import commit_lease
from lloco_core.store.forgetting.forget import erase_interrupted
from lloco_core.store.forgetting.forgotten import forgotten_names
from lloco_core.store.nights import latest_night, publish_night
from lloco_core.store.plans import shard_id
from lloco_core.store.records import PlanMarker, ShardRecord, load_records, record_removal
from lloco_core.store.rollback import finish_rollback
from lloco_core.store.runs import load_config, save_config
from lloco_core.store.switching import finish_switch, switch_groups
from lloco_core.store.tables import Store

if TYPE_CHECKING:
    from lloco_core.config import NightlyConfig
    from lloco_core.store.lease import CommitLease

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ingest:
    """An open ingest: what every step of it needs. `config.encoder` has no `auto` left."""

    run_id: str
    config: NightlyConfig
    store: Store
    lease: CommitLease
    models: ModelFacts
    n_recovered: int
    """Shards of an interrupted run that were committed at the start."""
    metrics: IngestMetrics = field(default_factory=IngestMetrics)


_ADDED_UP = (
    "n_documents",
    "n_unchanged",
    "n_segments",
    "n_passages",
    "n_tokens",
    "n_encoded_tokens",
    "n_pages_without_text",
    "encode_seconds",
)


@dataclass(slots=True)
class IngestTotals:
    """Counts over the committed shards of a run."""

    n_shards: int = 0
    n_documents: int = 0
    n_unchanged: int = 0
    n_segments: int = 0
    n_passages: int = 0
    n_tokens: int = 0
    n_encoded_tokens: int = 0
    n_pages_without_text: int = 0
    n_quarantined: int = 0
    n_removed: int = 0
    """Documents that are gone."""
    encode_seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    encoder_busy: EncoderBusy = field(default_factory=EncoderBusy)
    costs: GroupCosts = field(default_factory=GroupCosts)
    """Encoder seconds per group, without a price."""
    switched_groups: list[str] = field(default_factory=list)
    """Groups that changed to another encoder."""

    def add(self, record: ShardRecord) -> None:
        """Count one shard."""
        self.n_shards += 1
        self.n_removed += len(set(record.removed.values()))
        for name in _ADDED_UP:
            setattr(self, name, getattr(self, name) + getattr(record, name))
        self.encoder_busy.add(record)
        self.costs.charge_shard(record.group_tokens, record.encode_seconds, None)
        self.n_quarantined += record.n_quarantined
        for reason, count in record.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a commit."""

    n_done: int
    n_shards: int
    n_documents: int
    n_encoded_tokens: int
    seconds: float

    @property
    def percent(self) -> float:
        """Share of the shards committed; what is gone comes after them."""
        return 100 * min(1.0, self.n_done / self.n_shards) if self.n_shards else 100.0

    def __str__(self) -> str:
        left = self.seconds / self.n_done * max(0, self.n_shards - self.n_done)
        rate = self.n_encoded_tokens / self.seconds
        return (
            f"committed {self.n_done}/{self.n_shards} shards, {self.n_documents:,} documents, {self.n_encoded_tokens:,} tokens encoded, "
            f"{rate:,.0f} tokens/s, about {left:.0f} s left"
        )


@contextmanager
def open_ingest(config: NightlyConfig, run_id: str) -> Iterator[Ingest]:
    """Check and prepare the store, take the lease, and finish what was interrupted. Needs a Ray session."""
    store = Store(config.store.uri)
    if config.store.check_conditional_writes:
        check_conditional_writes(store.objects)
    config = config.model_copy(update={"encoder": resolve_encoder(config.encoder, config.cluster)})
    models = inspect_models(config.encoder, config.retrieval)
    metrics = RayMetrics(store.root, run_id)
    waiting = config.store.lease_seconds, config.store.lease_wait_seconds
    with metrics.lost_leases(), commit_lease(store, run_id, *waiting) as lease:
        finish_rollback(store, lease)  # first: it may bring back tables of an earlier release
        store.create_tables(models.summary_length, models.hidden_size, models.passage_dimension, config.store.vectors)
        _refuse_other_embedder(store, config.retrieval.model)
        save_config(store.objects, run_id, config)
        recovered = finish_interrupted(store, lease, metrics.committed)
        yield Ingest(run_id, config, store, lease, models, recovered, metrics)


def finish_interrupted(store: Store, lease: CommitLease, on_commit: OnCommit = nobody) -> int:
    """Finish what crashed runs left half done: plans, switches of groups, forgetting. Returns the shards that were committed."""
    recovered = recover_plans(store, lease, on_commit)
    finish_switch(store, lease)
    erase_interrupted(store, lease)
    return recovered


def _refuse_other_embedder(store: Store, model: str) -> None:
    newest = latest_night(store)
    earlier = load_config(store.objects, newest["run_id"]).retrieval.model if newest else model
    if earlier != model:
        raise CommitError(
            f"the passages of {store.root} were embedded with {earlier!r}, this run has retrieval.model {model!r}; "
            "embeddings of two models cannot be searched together, use a store of its own"
        )


def preview_ingest(config: NightlyConfig) -> Preview:
    """What an ingest would do and cost; nothing is written. Needs a Ray session, for the facts about the models."""
    encoder = resolve_encoder(config.encoder, config.cluster)
    models = inspect_models(encoder, config.retrieval)
    with TemporaryDirectory() as folder:
        store = Store(config.store.uri)
        if not store.exists("documents"):  # everything is new
            store = Store(folder)
            store.create_tables(models.summary_length, models.hidden_size, models.passage_dimension, config.store.vectors)
        plan = preview_corpus(config.corpus, config.store, store, models.encoder_fingerprint)
        return Preview.of(plan, store_costs(store.root).total, Price.of(config.cluster))


def plan_ingest(ingest: Ingest) -> Plan:
    """List the corpus and decide what has to be encoded."""
    plan = plan_corpus(ingest.config.corpus, ingest.config.store, ingest.store, ingest.models.encoder_fingerprint)
    logger.info("plan %s: %s", plan.plan_id, plan.describe())
    return plan


def compress_and_commit(ingest: Ingest, plan: Plan, on_commit: Callable[[Progress], None]) -> IngestTotals:
    """Run the compression graph and commit its shards in batches, then what is gone. Repeating it commits only what is missing."""
    totals = IngestTotals()
    _commit_plan(ingest, plan, totals, on_commit)
    totals.switched_groups = switch_groups(ingest.store, ingest.lease, ingest.models.encoder_fingerprint)
    totals.n_quarantined += settle_duplicates(ingest.store, ingest.lease, ingest.run_id)
    _take_over_freed_ids(ingest, totals, on_commit)
    return totals


def _commit_plan(ingest: Ingest, plan: Plan, totals: IngestTotals, on_commit: Callable[[Progress], None]) -> None:
    if not plan.has_work:
        return
    marker = begin_plan(ingest.store, plan.plan_id, ingest.run_id, plan.n_shards)
    committer = Committer(ingest.store, ingest.lease, marker, ingest.metrics.committed)
    started, n_before = time.monotonic(), totals.n_shards
    for batch in _batches(_records(ingest, plan, marker), ingest.config.store.commit_every):
        committer.commit(batch)
        for record in batch:
            totals.add(record)
        ingest.metrics.encoders_busy(totals.encoder_busy)
        n_done = totals.n_shards - n_before
        on_commit(Progress(n_done, plan.n_shards, totals.n_documents, totals.n_encoded_tokens, time.monotonic() - started))
    committer.close()


def _take_over_freed_ids(ingest: Ingest, totals: IngestTotals, on_commit: Callable[[Progress], None]) -> None:
    """Read the objects again whose documents waited for an id that this run has freed: their rejections have lost their reason.

    An id of an object that is gone is taken over by the plan itself. Here it is one that a changed object has no longer.
    """
    tried: set[str] = set()
    while uris := freed_claims(ingest.store, corpus_uri(ingest.config.corpus)) - tried:
        tried |= uris
        plan = plan_again(ingest.config.corpus, ingest.config.store, ingest.store, ingest.models.encoder_fingerprint, uris)
        logger.info("plan %s: reading %d objects again, whose ids have become free", plan.plan_id, len(uris))
        totals.n_unchanged -= plan.n_stored_documents  # counted already, and again by what follows
        totals.n_quarantined -= plan.n_quarantined
        _commit_plan(ingest, plan, totals, on_commit)
        totals.n_quarantined += settle_duplicates(ingest.store, ingest.lease, ingest.run_id)


def _records(ingest: Ingest, plan: Plan, marker: PlanMarker) -> Iterator[ShardRecord]:
    """Records of a plan: those that an earlier attempt wrote, then newly encoded ones; what is gone is recorded when all is encoded,
    so that a renamed document still finds its vectors."""
    objects = ingest.store.objects
    written = load_records(objects, plan.plan_id)
    finished = {record.shard_id for record in written}
    missing = [number for number in range(plan.n_shards) if shard_id(plan.plan_id, number) not in finished]
    yield from written
    if missing:
        yield from compress_shards(plan.shards, missing, _job(ingest, plan, marker), ingest.config.cluster)
    for removed in plan.shards.removed():
        if removed.shard_id not in finished:
            yield record_removal(objects, plan.plan_id, ingest.run_id, removed, corpus_uri(ingest.config.corpus))


def publish(ingest: Ingest) -> str:
    """Publish the tables' current versions as a night and keep the configuration that readers of it need; returns its name."""
    ingest.lease.check()
    night = publish_night(ingest.store, ingest.run_id, ingest.lease)
    save_config(ingest.store.objects, night, ingest.config)
    ingest.metrics.night_published()
    return night


def _job(ingest: Ingest, plan: Plan, marker: PlanMarker) -> CompressionJob:
    config = ingest.config
    return CompressionJob(
        run_id=ingest.run_id,
        store_uri=config.store.uri,
        corpus=config.corpus,
        encoder=config.encoder,
        retrieval=config.retrieval,
        encoder_fingerprint=ingest.models.encoder_fingerprint,
        segment_length=ingest.models.segment_length,
        summary_length=ingest.models.summary_length,
        base_versions=marker.base_versions,
        centroids=load_or_fit_centroids(ingest.store, plan.shards, config.corpus, config.retrieval),
        corpus_uri=corpus_uri(config.corpus),
        staged_groups=frozenset(plan.staged_groups),
        forgotten=forgotten_names(ingest.store.objects),
        equal_segments=ingest.models.equal_segments,
    )


def _batches(records: Iterable[ShardRecord], size: int) -> Iterator[list[ShardRecord]]:
    iterator = iter(records)
    while batch := list(islice(iterator, size)):
        yield batch
