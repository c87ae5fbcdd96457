"""Which nights stay open, and how the others are retired.

A night can be opened while its tags are there. A night that is not kept is retired: on every table its tag gives way to
`retired.<night>`, so nobody opens it any more, but whoever has it open reads on; that tag goes after the grace period, and with
it what keeps the versions. The ledger row stays as history.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lloco_core.store.nights import nights_that_open
from lloco_core.store.tables import CONTENT_TABLES

if TYPE_CHECKING:
    from datetime import datetime

    from lloco_core.store.maintenance.session import Maintenance
    from lloco_core.store.tables import Store

RETIRED = "retired."
"""Prefix of the tags of retired nights."""


def retire_nights(maintenance: Maintenance, now: datetime) -> list[str]:
    """Retire the nights that are not kept any more, and the tags of nights that were never published; returns their names.

    Repeating it, after a kill too, changes nothing more. Tags that are not of this pipeline stay.
    """
    store, config = maintenance.store, maintenance.config
    kept = kept_nights(nights_that_open(store), config.keep_nights, config.keep_monthly)
    history = {row["run_id"] for row in store.dataset("ledger").to_table(filter="entry = 'night'").to_pylist()}
    retired = set()
    for table in CONTENT_TABLES:
        for name, tag in store.dataset(table).tags.list().items():
            is_dropped = name in history and name not in kept
            if is_dropped or (name not in history and _is_abandoned(store, name, tag, now - timedelta(hours=config.grace_hours))):
                maintenance.lease.check()
                _retire(store, table, name)
                retired.add(name)
    return sorted(retired)


def kept_nights(nights: list[dict[str, Any]], keep_nights: int, keep_monthly: int) -> set[str]:
    """Of ledger rows, oldest first: the names of the newest nights, and of the newest night of each of the months before them.

    The month of the newest night itself is not counted.
    """
    kept = {night["run_id"] for night in nights[-keep_nights:]}
    by_month = {(night["committed_at"].year, night["committed_at"].month): night["run_id"] for night in nights}
    earlier = sorted(by_month)[:-1]
    return kept | {by_month[month] for month in earlier[len(earlier) - min(keep_monthly, len(earlier)) :]}


def _is_abandoned(store: Store, name: str, tag: dict[str, Any], before: datetime) -> bool:
    """Whether a run set this tag and was killed before it published the night."""
    return tag["created_at"] < before and store.objects.stat(f"_runs/{name}/config.json") is not None


def _retire(store: Store, table: str, night: str) -> None:
    tags = store.dataset(table).tags
    found = tags.list()
    if RETIRED + night not in found:  # else a maintenance was killed here
        tags.create(RETIRED + night, found[night]["version"])
    tags.delete(night)


def drop_retired_tags(store: Store, table: str, now: datetime, grace: timedelta) -> int:
    """Delete the tags of nights that were retired longer than the grace period ago; returns how many."""
    tags = store.dataset(table).tags
    due = [name for name, tag in tags.list().items() if name.startswith(RETIRED) and tag["created_at"] < now - grace]
    for name in due:
        tags.delete(name)
    return len(due)
