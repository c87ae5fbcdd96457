"""Finetune one adapter per group whose documents, questions, recipe, or encoder changed; register what passes the gate."""

from __future__ import annotations

from prefect import flow, get_run_logger

from flows.command import run_command
from flows.register_adapters import print_registered, register_waiting
from lloco_core.config import NightlyConfig
from lloco_core.errors import LlocoError
from lloco_core.observe.report import AdapterOutcome, RunReport
from tasks import finetune as steps
from tasks.register import ensure_active
from tasks.report import publish_report


@flow(name="finetune-groups", validate_parameters=True)
def finetune_groups(config: NightlyConfig) -> list[str]:
    """Bring the adapters of the newest night up to date; returns the ids of the newly registered ones."""
    from lloco_core.distributed.session import ray_session

    report = RunReport.start(config)
    with ray_session(config.cluster):
        finetune(config, report)
        register_waiting(report)
    publish_report(report)
    refuse_failed_groups(report)
    return [outcome.adapter_id for outcome in report.adapters if outcome.verdict == "registered"]


def finetune(config: NightlyConfig, report: RunReport) -> None:
    """Train the stale groups one after another; a group that fails does not cost the others. Needs a Ray session."""
    from lloco_core.store.read import open_night

    with report.stages.stage("finetune"):
        night = open_night(config.store.uri)
        report.night, report.groups = night.name, night.groups()
        works = steps.plan_adapters(night, config)
        for work in works:
            if work.is_trained:
                report.adapters.append(ensure_active(night.store, work))
            elif steps.prepare_examples(night, work, config) == 0:
                report.adapters.append(AdapterOutcome(work.group, work.adapter_id, "skipped: no questions", len(work.documents)))
            elif (state := steps.train(night, work, config, return_state=True)).is_failed():
                report.adapters.append(AdapterOutcome(work.group, work.adapter_id, f"failed: {state.message}", len(work.documents)))
    if all(work.is_trained for work in works):
        get_run_logger().info("nothing to train: all %d groups have their adapter", len(works))


def refuse_failed_groups(report: RunReport) -> None:
    """Fail the run, after everything else is done, when a group could not be trained.

    Raises:
        LlocoError: naming the groups and their errors.
    """
    failed = [outcome for outcome in report.adapters if outcome.verdict.startswith("failed")]
    if failed:
        lines = "; ".join(f"{outcome.group}: {outcome.verdict}" for outcome in failed)
        raise LlocoError(f"{len(failed)} of {len(report.adapters)} groups have no new adapter and keep the old one: {lines}")


def main() -> None:
    """Finetune from the command line and print what was registered."""
    kept = "checkpoints and registered adapters are kept; run the same command again to go on"
    run_command(finetune_groups, NightlyConfig, print_registered, kept)


if __name__ == "__main__":
    main()
