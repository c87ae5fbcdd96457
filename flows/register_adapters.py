"""Register the adapters that wait as candidates: validate, gate, publish, record, activate; then the newest night gets them."""

from __future__ import annotations

from prefect import flow

from flows.command import run_command
from lloco_core.config import NightlyConfig
from lloco_core.observe.report import RunReport
from tasks import register as steps
from tasks.report import publish_report


@flow(name="register-adapters", validate_parameters=True)
def register_adapters(config: NightlyConfig) -> list[str]:
    """Register all waiting candidates; returns the ids of the registered ones."""
    report = RunReport.start(config)
    register_waiting(report)
    publish_report(report)
    return [outcome.adapter_id for outcome in report.adapters if outcome.verdict == "registered"]


def register_waiting(report: RunReport) -> None:
    """Register every waiting candidate of the store, and publish what is active with the newest night; shared with the other flows."""
    from lloco_core.adapters import waiting_candidates
    from lloco_core.store.tables import Store

    with report.stages.stage("register"):
        store = Store(report.config.store.uri)
        report.adapters += [steps.register(store, candidate) for candidate in waiting_candidates(store)]
        steps.publish_adapters(store)
        if report.adapters:
            steps.publish_outcomes(report.adapters)


def print_registered(adapters: list[str]) -> None:
    """Print the adapters that a run registered."""
    from lloco_core.observe.terminal import print_pairs

    print_pairs("Adapters", [(adapter, "registered") for adapter in adapters] or [("registered", "none")])


def main() -> None:
    """Register from the command line and print what was registered."""
    run_command(register_adapters, NightlyConfig, print_registered, "registered adapters are kept; run the same command again to go on")


if __name__ == "__main__":
    main()
