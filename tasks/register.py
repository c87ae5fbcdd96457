"""Tasks around the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from lloco_core.observe.report import AdapterOutcome

if TYPE_CHECKING:
    from lloco_core.adapters import GroupWork
    from lloco_core.registry.candidates import Candidate
    from lloco_core.store.tables import Store


@task(name="register", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def register(store: Store, candidate: Candidate) -> AdapterOutcome:
    """Register one candidate; refused ones are recorded and the group keeps its adapter."""
    from lloco_core.registry.publish import REGISTERED
    from lloco_core.registry.publish import register as publish

    verdict = publish(store, candidate)
    get_run_logger().info("adapter %s: %s", candidate.adapter_id, verdict)
    if verdict == REGISTERED:
        resource = {"prefect.resource.id": f"lloco.adapter.{candidate.adapter_id}", "lloco.group": candidate.group}
        emit_event("lloco.adapter.registered", resource=resource)
    return AdapterOutcome(
        candidate.group,
        candidate.adapter_id,
        verdict,
        len(candidate.documents),
        candidate.n_examples,
        candidate.metrics["holdout_loss_before"],
        candidate.metrics["holdout_loss_after"],
        candidate.metrics["seconds"] or 0.0,
    )


@task(name="ensure-active", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def ensure_active(store: Store, work: GroupWork) -> AdapterOutcome:
    """Keep a trained adapter active, or make it so again when the group's documents went back to an earlier state."""
    from lloco_core.registry.publish import ensure_active as ensure

    verdict = "reactivated" if ensure(store, work.group, work.adapter_id) else "unchanged"
    return AdapterOutcome(work.group, work.adapter_id, verdict, len(work.documents))


@task(name="publish-adapters", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def publish_adapters(store: Store) -> None:
    """Give the newest night the adapters that are active now."""
    from lloco_core.store.nights import publish_adapters as publish

    publish(store)


@task(name="publish-outcomes", cache_policy=NO_CACHE)
def publish_outcomes(outcomes: list[AdapterOutcome]) -> None:
    """Show what became of every adapter of the run."""
    table = [{"group": outcome.group, "adapter": outcome.adapter_id, "verdict": outcome.verdict} for outcome in outcomes]
    create_table_artifact(key="adapters", table=table, description="Adapters of this run")
