"""The night: ingest the corpus, finetune the groups that changed, register their adapters, answer a few questions, report.

`python -m flows.nightly --config night.yaml` runs it in this process; the deployment `nightly/nightly` runs the same flow.
"""

from __future__ import annotations

from prefect import flow

from flows.command import run_command
from flows.finetune_groups import finetune, refuse_failed_groups
from flows.ingest_corpus import ingest
from flows.register_adapters import register_waiting
from lloco_core.config import NightlyConfig
from lloco_core.corpus.overlap import refuse_overlap
from lloco_core.observe.report import RunReport, enforce_quarantine
from tasks.closing import closing_answers
from tasks.report import publish_report


@flow(name="nightly", validate_parameters=True)
def nightly(config: NightlyConfig) -> RunReport:
    """Run a night. Everything readable is committed and served before a problem fails the run."""
    from lloco_core.distributed.session import ray_session

    refuse_overlap(config.corpus, config.store.uri)
    report = RunReport.start(config)
    with ray_session(config.cluster):
        ingest(config, report)
        finetune(config, report)
        register_waiting(report)
        with report.stages.stage("closing questions"):
            report.examples = closing_answers(config, report.night)
    publish_report(report)
    refuse_failed_groups(report)
    enforce_quarantine(report, config.corpus.quarantine_rate)
    return report


def main() -> None:
    """Run a night from the command line and print its report."""
    from lloco_core.observe.terminal import print_report

    kept = "committed shards, checkpoints, and registered adapters are kept; run the same command again to go on"
    run_command(nightly, NightlyConfig, print_report, kept)


if __name__ == "__main__":
    main()
