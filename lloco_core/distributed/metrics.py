"""An ingest's counters for Prometheus, exported by Ray on the metrics port of the driver's node as `ray_lloco_...`.

Counted in the driver, when shards are in the ledger: a shard that Ray repeats counts once, and one that a crashed run wrote counts in
the run that commits it. Ray adds `_total` to counters and estimates the sum of a histogram from its buckets, so sums of seconds have
counters of their own. Ray keeps the counters of an ended driver and forgets its gauges after seconds.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lloco_core.errors import LeaseLost
from lloco_core.observe.cost import MICROSECONDS, GroupCosts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.observe.busy import EncoderBusy
    from lloco_core.store.records import ShardRecord

TAGS = ("store", "run")

RECORD_COUNTERS = {
    "lloco_documents": ("n_documents", "Documents encoded and committed."),
    "lloco_unchanged_documents": ("n_unchanged", "Documents whose object changed but whose text did not."),
    "lloco_segments": ("n_segments", "Segments committed."),
    "lloco_passages": ("n_passages", "Passages committed."),
    "lloco_tokens": ("n_tokens", "Tokens of the documents committed."),
    "lloco_read_bytes": ("n_bytes", "Listed size of the objects of the shards committed."),
}
"""Name -> field of a shard record, and what it counts."""
COUNTERS = {
    "lloco_shards": "Shards committed.",
    "lloco_removed_documents": "Documents that are gone from the corpus, or from their old place in it.",
    "lloco_retries": "Attempts at encoding a shard beyond its first.",
    "lloco_commit_seconds": "Seconds spent in commits.",
    "lloco_nights": "Nights published, those that changed nothing included.",
    "lloco_leases_lost": "Times that another process took the commit lease over.",
}
GROUP_COUNTERS = {
    "lloco_encoded_tokens": "Tokens that went through the encoder, by group.",
    "lloco_encoder_seconds": "Seconds the encoders' devices computed, by group.",
}
HISTOGRAMS = {
    "lloco_commit_duration_seconds": ("Seconds of one commit.", [0.1, 0.3, 1, 3, 10, 30, 100, 300]),
    "lloco_shard_encoder_seconds": ("Device seconds of one shard.", [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]),
    "lloco_shard_encoded_tokens": ("Encoded tokens of one shard.", [1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6]),
}

MAX_GROUPS = 100
"""Groups with series of their own; further ones share the group `(other)`, so that a corpus cannot flood Prometheus."""
OTHER_GROUPS = "(other)"


class IngestMetrics:
    """What an ingest tells while it runs; this one tells nobody."""

    def committed(self, batch: list[ShardRecord], seconds: float) -> None:
        """Count the shards of a commit that took `seconds`."""

    def encoders_busy(self, busy: EncoderBusy) -> None:
        """Say how busy the run's encoders were so far."""

    def night_published(self) -> None:
        """Count a published night."""


class RayMetrics(IngestMetrics):
    """Tells Ray. Needs a session."""

    def __init__(self, store: str, run_id: str) -> None:
        from ray.util import metrics

        tags = {"store": store, "run": run_id}

        def make(kind: Any, name: str, description: str, *more: Any, keys: tuple[str, ...] = ()) -> Any:
            return kind(name, description, *more, tag_keys=TAGS + keys).set_default_tags(tags)

        counters = COUNTERS | {name: text for name, (_, text) in RECORD_COUNTERS.items()}
        self._counters = {name: make(metrics.Counter, name, text) for name, text in counters.items()}
        self._by_group = {name: make(metrics.Counter, name, text, keys=("group",)) for name, text in GROUP_COUNTERS.items()}
        self._by_reason = make(metrics.Counter, "lloco_quarantined", "Documents put into quarantine, by reason.", keys=("reason",))
        self._histograms = {name: make(metrics.Histogram, name, text, bounds) for name, (text, bounds) in HISTOGRAMS.items()}
        self._busy = make(metrics.Gauge, "lloco_encoder_busy_ratio", "Busy seconds per second of the encoders' spans in this run so far.")
        self._groups: set[str] = set()

    def committed(self, batch: list[ShardRecord], seconds: float) -> None:
        """As in `IngestMetrics`."""
        self._count("lloco_shards", len(batch))
        for name, (field, _) in RECORD_COUNTERS.items():
            self._count(name, sum(getattr(record, field) for record in batch))
        self._count("lloco_removed_documents", sum(record.n_removed for record in batch))
        self._count("lloco_retries", sum(record.attempts - 1 for record in batch))
        self._count("lloco_commit_seconds", seconds)
        self._histograms["lloco_commit_duration_seconds"].observe(seconds)
        for record in batch:
            if record.encoder_id:
                self._histograms["lloco_shard_encoder_seconds"].observe(record.encode_seconds)
                self._histograms["lloco_shard_encoded_tokens"].observe(record.n_encoded_tokens)
        for reason, count in sum((record.reasons for record in batch), Counter()).items():
            self._by_reason.inc(count, tags={"reason": reason})
        self._count_groups(batch)

    def encoders_busy(self, busy: EncoderBusy) -> None:
        """As in `IngestMetrics`."""
        if busy.share is not None:
            self._busy.set(busy.share)

    def night_published(self) -> None:
        """As in `IngestMetrics`."""
        self._count("lloco_nights", 1)

    @contextmanager
    def lost_leases(self) -> Iterator[None]:
        """Count a block that ends because another process has the lease."""
        try:
            yield
        except LeaseLost:
            self._count("lloco_leases_lost", 1)
            raise

    def _count(self, name: str, value: float) -> None:
        if value:  # Ray refuses zero
            self._counters[name].inc(value)

    def _count_groups(self, batch: list[ShardRecord]) -> None:
        costs = GroupCosts()
        for record in batch:
            costs.charge_shard(record.group_tokens, record.encode_seconds, None)
        for group, cost in costs.groups.items():
            if group in self._groups or len(self._groups) < MAX_GROUPS:
                self._groups.add(group)
            tags = {"group": group if group in self._groups else OTHER_GROUPS}
            for name, value in (
                ("lloco_encoded_tokens", cost.encoded_tokens),
                ("lloco_encoder_seconds", cost.encoder_microseconds / MICROSECONDS),
            ):
                if value:
                    self._by_group[name].inc(value, tags=tags)
