"""Ingest a corpus: plan -> compress -> commit -> index -> publish a night."""

from __future__ import annotations

from contextlib import ExitStack

from prefect import flow, get_run_logger

from flows.command import run_command
from lloco_core.config import NightlyConfig
from lloco_core.corpus.overlap import refuse_overlap
from lloco_core.observe.report import RunReport, enforce_quarantine
from tasks import ingest as steps
from tasks.report import publish_report


@flow(name="ingest-corpus", validate_parameters=True)
def ingest_corpus(config: NightlyConfig) -> str:
    """Bring the store up to date with the corpus; returns the published night."""
    from lloco_core.distributed.session import ray_session

    refuse_overlap(config.corpus, config.store.uri)
    report = RunReport.start(config)
    with ray_session(config.cluster):
        ingest(config, report)
    publish_report(report)
    enforce_quarantine(report, config.corpus.quarantine_rate)
    return report.night


def ingest(config: NightlyConfig, report: RunReport) -> None:
    """The steps of an ingest, timed; shared with the nightly flow. Needs a Ray session."""
    from lloco_core.distributed.ingest import open_ingest

    with ExitStack() as stack:
        with report.stages.stage("prepare"):
            session = stack.enter_context(open_ingest(config, report.run_id))
        report.n_recovered, report.summary_length = session.n_recovered, session.models.summary_length
        with report.stages.stage("plan"):
            report.plan = steps.plan(session)
        with report.stages.stage("compress and commit"):
            report.totals = steps.compress_and_commit(session, report.plan)
        with report.stages.stage("index"):
            steps.index(session)
        with report.stages.stage("publish"):
            report.night = steps.publish(session)
    if not report.plan.shards:
        get_run_logger().info("nothing to encode: %s", report.plan.describe())


def main() -> None:
    """Ingest a corpus from the command line and print the night."""
    from lloco_core.observe.terminal import print_pairs

    kept = "committed shards are kept; run the same command again to go on"
    run_command(ingest_corpus, NightlyConfig, lambda night: print_pairs("Ingest", [("night", night)]), kept)


if __name__ == "__main__":
    main()
