"""What unfinished plans still need: the versions since their base, and the files that their shard records name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lloco_core.store.records import load_records, open_plans

if TYPE_CHECKING:
    from lloco_core.store.tables import Store


@dataclass(slots=True)
class NeedsOfPlans:
    """What must stay for open plans, as far as they were open when it was looked for."""

    plan_ids: set[str] = field(default_factory=set)
    base_versions: dict[str, int] = field(default_factory=dict)
    """Table -> lowest version that an open plan started from: their commits are searched for in the versions after it."""
    files: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Table -> data files of written shards that may not be committed yet."""


def needs_of_plans(store: Store) -> NeedsOfPlans:
    """Read the markers and records of open plans.

    Whoever deletes must call this before looking at what the tables refer to: a plan that ends in between has then committed.
    """
    needs = NeedsOfPlans()
    for marker in open_plans(store.objects):
        needs.plan_ids.add(marker.plan_id)
        for table, version in marker.base_versions.items():
            needs.base_versions[table] = min(version, needs.base_versions.get(table, version))
        for record in load_records(store.objects, marker.plan_id):
            for table, fragments in record.fragments.items():
                needs.files[table].update(file["path"] for fragment in fragments for file in fragment["files"])
    return needs


def oldest_plan(store: Store) -> float | None:
    """When the longest open plan was begun, in seconds since the epoch."""
    return min((item.modified for item in store.objects.list("_plans/open/") if item.modified is not None), default=None)
