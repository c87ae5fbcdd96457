"""Tasks of a maintenance: one call into the core each; every step may be repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

if TYPE_CHECKING:
    from lloco_core.store.maintenance.compact import Compacted
    from lloco_core.store.maintenance.orphans import Swept
    from lloco_core.store.maintenance.report import MaintenanceReport
    from lloco_core.store.maintenance.session import Maintenance
    from lloco_core.store.maintenance.versions import Cleaned


@task(name="compact", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def compact(maintenance: Maintenance) -> list[Compacted]:
    """Merge the small fragments of every table."""
    from lloco_core.store.maintenance.compact import compact_table
    from lloco_core.store.tables import TABLES

    return [compact_table(maintenance, table) for table in TABLES]


@task(name="update-indices", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def update_indices(maintenance: Maintenance) -> None:
    """Create or update the indices of the tables."""
    from lloco_core.store.index import build_indices

    build_indices(maintenance.store)


@task(name="sweep", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def sweep(maintenance: Maintenance) -> list[Swept]:
    """Delete what nothing refers to any more."""
    from lloco_core.store.maintenance.leftovers import sweep_leftovers
    from lloco_core.store.maintenance.orphans import sweep_orphans
    from lloco_core.store.tables import TABLES

    before = datetime.now(UTC) - timedelta(days=maintenance.config.orphan_days)
    return [*(sweep_orphans(maintenance, table, before) for table in TABLES), *sweep_leftovers(maintenance, before)]


@task(name="retire-nights", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def retire_nights(maintenance: Maintenance) -> list[str]:
    """Retire the nights that are not kept; returns their names."""
    from lloco_core.store.maintenance.retention import retire_nights as retire

    return retire(maintenance, datetime.now(UTC))


@task(name="clean-versions", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def clean_versions(maintenance: Maintenance) -> tuple[list[Cleaned], str]:
    """Remove old versions of every table; with them comes the reason why none could be removed, or nothing."""
    from lloco_core.store.maintenance.versions import clean_versions as clean
    from lloco_core.store.maintenance.versions import refusal
    from lloco_core.store.tables import TABLES

    now = datetime.now(UTC)
    if reason := refusal(maintenance.store, now):
        get_run_logger().warning("%s", reason)
    return [clean(maintenance, table, now) for table in TABLES], reason


@task(name="finish-forgetting", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def finish_forgetting(maintenance: Maintenance) -> int:
    """Remove the old versions of forgotten documents that are due; returns how many documents are gone for good.

    Beside a running ingest it is left to the next maintenance.
    """
    from lloco_core.errors import CommitError
    from lloco_core.store.forgetting.purge import finish_forgetting as finish

    try:
        return len(finish(maintenance.store, datetime.now(UTC)))
    except CommitError as error:
        get_run_logger().warning("forgotten documents are left to the next maintenance: %s", error)
        return 0


@task(name="maintenance-report", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def publish_report(maintenance: Maintenance, report: MaintenanceReport) -> None:
    """Publish what was done, and keep it beside the tables."""
    from lloco_core.store.runs import save_summary

    create_markdown_artifact(key="maintenance", markdown=report.as_markdown(), description=f"Report of {report.run_id}")
    save_summary(maintenance.store.objects, report.run_id, report.as_json())
