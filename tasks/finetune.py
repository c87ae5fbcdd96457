"""Tasks around the adapters of a night: which are stale, their questions, their training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

if TYPE_CHECKING:
    from lloco_core.adapters import GroupWork
    from lloco_core.config import NightlyConfig
    from lloco_core.registry.candidates import Candidate
    from lloco_core.store.read import Night


@task(name="plan-adapters", cache_policy=NO_CACHE)
def plan_adapters(night: Night, config: NightlyConfig) -> list[GroupWork]:
    """Name the adapter that every group should have."""
    from lloco_core.adapters import plan_adapters as plan

    works = plan(night, config)
    create_table_artifact(
        key="adapter-plan",
        table=[
            {
                "group": work.group,
                "adapter": work.adapter_id,
                "documents": len(work.documents),
                "trained": "yes" if work.is_trained else "no",
            }
            for work in works
        ],
        description=f"Adapters of {night.name}",
    )
    return works


@task(name="prepare-examples", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def prepare_examples(night: Night, work: GroupWork, config: NightlyConfig) -> int:
    """Collect a group's training questions; returns how many there are."""
    from lloco_core.distributed.adapters import prepare_examples as prepare

    count, left_out = prepare(night, work, config)
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))
    get_run_logger().info("group %s: %d questions%s", work.group, count, f", left out: {reasons}" if reasons else "")
    return count


@task(name="train", cache_policy=NO_CACHE)
def train(night: Night, work: GroupWork, config: NightlyConfig) -> Candidate:
    """Train one adapter. Ray Train restarts failed workers from the last checkpoint; so does a later run of the same night."""
    from lloco_core.distributed.adapters import train_group

    candidate = train_group(night, work, config)
    metrics = candidate.metrics
    held_out = "no held-out questions"
    if metrics["holdout_loss_before"] is not None:
        held_out = f"held-out loss {metrics['holdout_loss_before']:.3f} -> {metrics['holdout_loss_after']:.3f}"
    log = get_run_logger()
    log.info("group %s: %s trained, %s steps in %.0f s, %s", work.group, work.adapter_id, metrics["steps"], metrics["seconds"], held_out)
    return candidate
