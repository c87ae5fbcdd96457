"""Removing old table versions: those that no night, no open plan, and no running reader needs.

A version is old when the one after it is older than the grace period: until then it was the newest one, and a reader or a plan
may have started from it. What an open plan needs stays however old it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from lloco_core.store.maintenance.plans import needs_of_plans, oldest_plan
from lloco_core.store.maintenance.retention import drop_retired_tags

if TYPE_CHECKING:
    from lloco_core.store.maintenance.session import Maintenance
    from lloco_core.store.tables import Store

VERSIONS_PER_CALL = 500

UNCOMMITTED_DAYS = 6
"""Lance's clean-up takes files that no version names for garbage when they are 7 days old, those of written shards that wait for
their commit too."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What clean-up removed from one table."""

    table: str
    n_versions: int = 0
    n_bytes: int = 0


def clean_versions(maintenance: Maintenance, table: str, now: datetime) -> Cleaned:
    """Remove the old versions of a table and the files that only they refer to.

    Nothing is removed while `refusal` has a reason.
    """
    store, grace = maintenance.store, timedelta(hours=maintenance.config.grace_hours)
    if refusal(store, now):
        return Cleaned(table)
    drop_retired_tags(store, table, now, grace)
    dataset = store.dataset(table)
    versions = [(item["version"], item["timestamp"].astimezone(UTC)) for item in dataset.versions()]
    tagged = {tag["version"] for tag in dataset.tags.list().values()}
    needed_from = needs_of_plans(store).base_versions.get(table)
    removable = removable_versions(versions, tagged, needed_from, now - grace)
    n_versions = n_bytes = 0
    for start in range(0, len(removable), VERSIONS_PER_CALL):
        maintenance.lease.check()
        part = removable[start : start + VERSIONS_PER_CALL]
        stats = dataset.cleanup_old_versions(versions=part, error_if_tagged_old_versions=False)
        n_versions, n_bytes = n_versions + stats.old_versions, n_bytes + stats.bytes_removed
    return Cleaned(table, n_versions, n_bytes)


def refusal(store: Store, now: datetime) -> str:
    """Why no versions may be cleaned up now; empty when they may."""
    begun = oldest_plan(store)
    if begun is None or begun >= (now - timedelta(days=UNCOMMITTED_DAYS)).timestamp():
        return ""
    return (
        f"no versions were cleaned up: a plan has been unfinished since {datetime.fromtimestamp(begun, UTC):%Y-%m-%d}, and Lance's "
        "clean-up would remove what it wrote more than 7 days ago; run an ingest, which finishes the plan, then maintain the store again"
    )


def removable_versions(versions: list[tuple[int, datetime]], tagged: set[int], needed_from: int | None, before: datetime) -> list[int]:
    """Of versions and the times they were written: those that were followed by another one before a time.

    Args:
        tagged: versions that stay.
        needed_from: this one and all after it stay.
    """
    versions = sorted(versions)
    return [
        version
        for (version, _), (_, superseded_at) in pairwise(versions)
        if superseded_at < before and version not in tagged and (needed_from is None or version < needed_from)
    ]
