"""The plan of one ingest. The same listing against the same store gives the same plan id and the same shards.

`preview_corpus` says what a night would do and changes nothing; `plan_corpus` also writes the plan beside the tables, from where
the workers read their shards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lloco_core.corpus.overlap import refuse_overlap
from lloco_core.errors import PlanRefused
from lloco_core.fingerprint import digest
from lloco_core.planning.diff import CorpusDiff
from lloco_core.planning.shards import cut_shards
from lloco_core.store.plans import StoredPlan, write_plan

if TYPE_CHECKING:
    from lloco_core.config import CorpusConfig, StoreConfig
    from lloco_core.planning.shards import Cut
    from lloco_core.store.tables import Store

PLANNED_TABLES = ("documents", "ledger")
"""Their versions are part of a plan's name: the same objects after a commit are another plan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The work of one ingest in numbers; `shards` reads them one by one from where they are kept."""

    plan_id: str
    shards: StoredPlan
    """Empty in a preview."""
    n_shards: int
    n_objects: int
    """Objects listed."""
    n_ignored: int
    """Files beside them that are never documents: hidden, markers, litter."""
    n_unchanged: int
    """Of these, stored already with this encoder."""
    n_stored_documents: int
    """Documents in the unchanged objects."""
    n_quarantined: int
    """Documents of listed objects that were quarantined earlier and did not change since."""
    n_removed: int
    """Documents of this corpus whose object is gone."""
    n_moved: int
    """Of these, documents that are listed under another name."""
    n_resolved: int
    """Quarantined objects that are gone."""
    n_reencoded: int
    """Objects that only another encoder makes stale."""
    n_deferred: int
    """Such objects that are left to later nights."""
    n_bytes: int
    """Bytes to read."""
    n_tokens: int
    """Tokens to encode, estimated from sizes."""
    staged_groups: tuple[str, ...]
    """Groups that readers see with vectors of another encoder: what is encoded for them is staged until they are complete."""

    @property
    def has_work(self) -> bool:
        """Whether there is anything to encode or to remove."""
        return bool(self.n_shards or self.n_removed or self.n_resolved)

    def facts(self) -> list[tuple[str, int]]:
        """The plan as a table."""
        return [
            ("objects listed", self.n_objects),
            ("hidden files, markers, and litter ignored", self.n_ignored),
            ("unchanged", self.n_unchanged),
            ("documents quarantined before", self.n_quarantined),
            ("documents gone", self.n_removed),
            ("of them moved", self.n_moved),
            ("objects for another encoder", self.n_reencoded),
            ("left to later nights", self.n_deferred),
            ("shards to encode", self.n_shards),
            ("bytes to read", self.n_bytes),
            ("tokens to encode, estimated", self.n_tokens),
        ]

    def describe(self) -> str:
        """The plan in one line."""
        parts = [
            f"{self.n_unchanged} of {self.n_objects} objects are stored with this encoder, {self.n_quarantined} documents in quarantine"
        ]
        parts.append(f"{self.n_shards} shards, {self.n_bytes / 1e6:.1f} MB to read")
        if self.n_ignored:
            parts.append(f"{self.n_ignored} hidden files, markers, and litter ignored")
        if self.n_removed:
            parts.append(f"{self.n_removed} documents are gone" + (f", {self.n_moved} of them moved" if self.n_moved else ""))
        if self.n_reencoded:
            later = f", {self.n_deferred} in later nights" if self.n_deferred else ""
            parts.append(f"{self.n_reencoded} objects for the new encoder{later}")
        return "; ".join(parts)


def plan_corpus(corpus: CorpusConfig, layout: StoreConfig, store: Store, encoder_fingerprint: str) -> Plan:
    """List the corpus, keep what is new, changed, gone, or encoded with another encoder, and write the plan.

    Raises:
        ConfigurationError: corpus and store hold each other.
        PlanRefused: more documents are gone than `corpus.delete_rate` allows.
    """
    return _plan(corpus, layout, store, encoder_fingerprint, write_plan)


def plan_again(corpus: CorpusConfig, layout: StoreConfig, store: Store, encoder_fingerprint: str, uris: Collection[str]) -> Plan:
    """Plan to read these objects of a corpus once more, whatever is stored of them, and write the plan. Its `n_stored_documents` and
    `n_quarantined` are what the objects had so far."""
    return _plan(corpus, layout, store, encoder_fingerprint, write_plan, uris)


def preview_corpus(corpus: CorpusConfig, layout: StoreConfig, store: Store, encoder_fingerprint: str) -> Plan:
    """What `plan_corpus` would say; nothing is written.

    Raises:
        ConfigurationError, PlanRefused: as by `plan_corpus`.
    """
    return _plan(corpus, layout, store, encoder_fingerprint, lambda _store, plan_id, _cut, _diff: StoredPlan(store, plan_id, (), 0))


Keep = Callable[["Store", str, "Cut", CorpusDiff], StoredPlan]


def _plan(
    corpus: CorpusConfig, layout: StoreConfig, store: Store, encoder_fingerprint: str, keep: Keep, again: Collection[str] | None = None
) -> Plan:
    refuse_overlap(corpus, store.root)
    with CorpusDiff(corpus, store, encoder_fingerprint, again) as diff:
        counts = diff.counts()
        _refuse_mass_removal(corpus, counts)
        del counts["n_known_documents"]
        cut = cut_shards(diff.todo(), layout)
        base = [store.dataset(name).version for name in PLANNED_TABLES]
        plan_id = digest([cut.identity, cut.starts, diff.n_removed(), encoder_fingerprint, base])
        return Plan(
            plan_id=plan_id,
            shards=keep(store, plan_id, cut, diff),
            n_shards=len(cut.starts),
            n_reencoded=cut.n_reencoded,
            n_deferred=cut.n_deferred,
            n_bytes=cut.n_bytes,
            n_tokens=cut.n_tokens,
            staged_groups=tuple(diff.other_groups()),
            **counts,
        )


def _refuse_mass_removal(corpus: CorpusConfig, counts: dict[str, int]) -> None:
    lost, known = counts["n_removed"] - counts["n_moved"], counts["n_known_documents"]
    allowed = max(1, int(corpus.delete_rate * known))
    if lost > allowed:
        raise PlanRefused(
            f"{lost} of {known} stored documents of {corpus.uri} are not listed any more, allowed are {allowed} "
            f"(corpus.delete_rate {corpus.delete_rate}); nothing was changed. Check corpus.uri, its patterns, and mounts; "
            "if they are meant to go, run once with --corpus.delete-rate 1"
        )
