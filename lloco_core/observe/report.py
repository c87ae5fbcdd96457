"""The report of a run: what was done, how long it took, where things lie. Printed, kept in the store, and shown in the UI."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lloco_core.errors import QuarantineExceeded
from lloco_core.observe.cost import GroupCosts, Price
from lloco_core.observe.printable import markdown_cell
from lloco_core.observe.stages import Stages

if TYPE_CHECKING:
    from lloco_core.config import NightlyConfig
    from lloco_core.distributed.ingest import IngestTotals
    from lloco_core.planning import Plan


@dataclass(frozen=True, slots=True)
class AdapterOutcome:
    """What became of one group's adapter in a run."""

    group: str
    adapter_id: str
    verdict: str
    """`unchanged`, `reactivated`, `registered`, `rejected: <why>`, or `skipped: <why>`."""
    n_documents: int = 0
    n_examples: int = 0
    holdout_loss_before: float | None = None
    holdout_loss_after: float | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class RunReport:
    """Filled in by the flows as a run goes on."""

    run_id: str
    config: NightlyConfig
    started_at: datetime
    stages: Stages = field(default_factory=Stages)
    n_recovered: int = 0
    plan: Plan | None = None
    totals: IngestTotals | None = None
    summary_length: int = 0
    night: str = ""
    groups: dict[str, int] = field(default_factory=dict)
    adapters: list[AdapterOutcome] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    """Closing questions with their answers, or with the `failure` that left them without one."""

    @classmethod
    def start(cls, config: NightlyConfig) -> RunReport:
        """Name a new run: a sortable time and six random digits."""
        now = datetime.now(UTC)
        return cls(f"night-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", config, now)

    @property
    def n_vectors(self) -> int:
        """Summary vectors stored in this run, those kept from earlier versions of changed documents included."""
        return self.totals.n_segments * self.summary_length if self.totals else 0

    @property
    def n_quarantined(self) -> int:
        """Documents of the corpus in quarantine: of this run and of earlier ones."""
        return (self.plan.n_quarantined if self.plan else 0) + (self.totals.n_quarantined if self.totals else 0)

    @property
    def n_documents(self) -> int:
        """Documents of the corpus: stored or in quarantine."""
        stored = (self.plan.n_stored_documents if self.plan else 0) + (
            self.totals.n_documents + self.totals.n_unchanged if self.totals else 0
        )
        return stored + self.n_quarantined

    @property
    def costs(self) -> GroupCosts:
        """What this run encoded and trained, per group."""
        costs, cluster = GroupCosts(), self.config.cluster
        for group, cost in self.totals.costs.groups.items() if self.totals else ():
            costs.charge(group, Price.of(cluster), tokens=cost.encoded_tokens, encoder=cost.encoder_microseconds)
        for outcome in self.adapters:
            if outcome.seconds:
                costs.charge_training(outcome.group, outcome.seconds * cluster.train_workers, Price.of(cluster))
        return costs

    @property
    def seconds(self) -> float:
        """Seconds since the run started."""
        return (datetime.now(UTC) - self.started_at).total_seconds()

    def facts(self) -> list[tuple[str, str]]:
        """Name and value of everything the report states in one line each."""
        totals, plan = self.totals, self.plan
        if totals is None or plan is None:
            return [("run", self.run_id)]
        ratio = f"{totals.n_tokens / self.n_vectors:.1f} tokens per vector" if self.n_vectors else "nothing encoded"
        rate = (
            f"{totals.n_encoded_tokens / totals.encode_seconds:,.0f} tokens/s" if totals.n_encoded_tokens and totals.encode_seconds else "-"
        )
        return [
            ("run", self.run_id),
            ("corpus", self.config.corpus.uri),
            ("plan", plan.describe()),
            ("documents encoded", f"{totals.n_documents:,}"),
            ("tokens", f"{totals.n_tokens:,}" + _anew(totals)),
            ("summary vectors", f"{self.n_vectors:,} in {totals.n_segments:,} segments"),
            ("compression", ratio),
            ("passages", f"{totals.n_passages:,}"),
            ("encoder rate", rate),
            ("encoder busy", str(totals.encoder_busy)),
            *([("cost", str(self.costs.total))] if self.config.cluster.gpu_hour_price is not None else []),
            ("quarantined", f"{self.n_quarantined} of {self.n_documents} documents" + _reasons(totals.reasons)),
            *([("pages without text", f"{totals.n_pages_without_text:,}")] if totals.n_pages_without_text else []),
            ("documents removed", f"{totals.n_removed:,}"),
            *([("groups with the new encoder", ", ".join(totals.switched_groups))] if totals.switched_groups else []),
            ("recovered shards", str(self.n_recovered)),
            ("groups", ", ".join(f"{group} ({count})" for group, count in self.groups.items()) or "-"),
            ("night", self.night),
            ("tables", f"{self.config.store.uri} (documents, segments, passages, quarantine, ledger, adapters)"),
            ("adapters", f"{self.config.store.uri}/adapters/"),
        ]

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "run_id": self.run_id,
            "night": self.night,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "facts": dict(self.facts()),
            "n_documents": self.totals.n_documents if self.totals else 0,
            "n_tokens": self.totals.n_tokens if self.totals else 0,
            "n_encoded_tokens": self.totals.n_encoded_tokens if self.totals else 0,
            "n_vectors": self.n_vectors,
            "n_quarantined": self.n_quarantined,
            "encoder_busy": self.totals.encoder_busy.as_json() if self.totals else None,
            "costs": self.costs.as_json(),
            "groups": self.groups,
            "seconds": {name: round(seconds, 2) for name, seconds in self.stages.seconds.items()},
            "adapters": [{name: getattr(outcome, name) for name in outcome.__slots__} for outcome in self.adapters],
            "examples": self.examples,
            "config": self.config.public(),
        }

    def as_markdown(self) -> str:
        """The report as the run's markdown artifact."""
        lines = ["# Run report", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {markdown_cell(value)} |" for name, value in self.facts()]
        lines += ["", "## Seconds per stage", "", "| stage | seconds |", "|---|---:|"]
        lines += [f"| {name} | {seconds:.1f} |" for name, seconds in self.stages.seconds.items()]
        if self.adapters:
            lines += [
                "",
                "## Adapters",
                "",
                "| group | adapter | verdict | examples | held-out loss | seconds |",
                "|---|---|---|---:|---|---:|",
            ]
            lines += [_adapter_row(outcome) for outcome in self.adapters]
        if failed := [example for example in self.examples if example.get("failure")]:
            lines += ["", "## Closing questions that failed", "", "| question | why |", "|---|---|"]
            lines += [f"| {markdown_cell(example['question'])} | {markdown_cell(example['failure'])} |" for example in failed]
        return "\n".join(lines) + "\n"


def enforce_quarantine(report: RunReport, rate: float) -> None:
    """Fail a run, after everything readable is committed, when too many documents are in quarantine.

    Raises:
        QuarantineExceeded: more than `rate` of the corpus, and more than one document.
    """
    allowed = max(1, int(rate * report.n_documents))
    if report.n_quarantined > allowed:
        raise QuarantineExceeded(
            f"{report.n_quarantined} of {report.n_documents} documents are in quarantine, allowed are {allowed} "
            f"(corpus.quarantine_rate {rate}). Everything readable is committed; `lloco status --store {report.config.store.uri}` "
            "lists the reasons. Repair or exclude the documents, or raise the rate"
        )


def _reasons(reasons: dict[str, int]) -> str:
    return " (new: " + ", ".join(f"{count} {code}" for code, count in sorted(reasons.items())) + ")" if reasons else ""


def _anew(totals: IngestTotals) -> str:
    return f", of them {totals.n_encoded_tokens:,} encoded anew" if totals.n_encoded_tokens < totals.n_tokens else ""


def _adapter_row(outcome: AdapterOutcome) -> str:
    loss = "-"
    if outcome.holdout_loss_before is not None and outcome.holdout_loss_after is not None:
        loss = f"{outcome.holdout_loss_before:.3f} -> {outcome.holdout_loss_after:.3f}"
    cells = [outcome.group, outcome.adapter_id, outcome.verdict, str(outcome.n_examples), loss, f"{outcome.seconds:.1f}"]
    return "| " + " | ".join(markdown_cell(cell) for cell in cells) + " |"
