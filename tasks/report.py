"""The run report as an artifact, and kept beside the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

if TYPE_CHECKING:
    from lloco_core.observe.report import RunReport


@task(name="report", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def publish_report(report: RunReport) -> None:
    """Publish the report of a run."""
    from lloco_core.store.runs import save_summary
    from lloco_core.store.tables import Store

    create_markdown_artifact(key="run-report", markdown=report.as_markdown(), description=f"Report of {report.run_id}")
    save_summary(Store(report.config.store.uri).objects, report.run_id, report.as_json())
