"""Sweeping small objects that have had their day: records of finished plans, checkpoints of registered adapters, probes,
unfinished writes. All only when nobody wrote to them since a given time.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from lloco_core.store.maintenance.orphans import Swept
from lloco_core.store.maintenance.plans import needs_of_plans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from lloco_core.objects import ObjectInfo, Objects
    from lloco_core.store.maintenance.session import Maintenance


def sweep_leftovers(maintenance: Maintenance, before: datetime) -> list[Swept]:
    """Delete all leftovers that were last written before a time."""
    objects, cutoff = maintenance.store.objects, before.timestamp()
    kept_plans = needs_of_plans(maintenance.store).plan_ids | {"open"}
    registered = _registered_adapters(maintenance)
    maintenance.lease.check()
    return [
        _delete("records of finished plans", objects, _old_folders(objects, "_plans/", cutoff, lambda name: name not in kept_plans)),
        _delete("checkpoints of registered adapters", objects, _old_folders(objects, "_training/", cutoff, registered.__contains__)),
        _delete("probes", objects, [item for item in objects.list("_probe/") if _is_old(item, cutoff)]),
        _abandon(objects, cutoff),
    ]


def _registered_adapters(maintenance: Maintenance) -> set[str]:
    rows = maintenance.store.dataset("adapters").to_table(columns=["adapter_id"], filter="status = 'registered'")
    return set(rows["adapter_id"].to_pylist())


def _old_folders(objects: Objects, prefix: str, cutoff: float, is_due: Callable[[str], bool]) -> Iterator[ObjectInfo]:
    """The objects of those folders below a prefix that are due and hold nothing younger."""
    for (name, is_folder), items in groupby(objects.list(prefix), lambda item: _first_part(item.key, prefix)):
        if is_folder and is_due(name):
            found = list(items)
            if all(_is_old(item, cutoff) for item in found):
                yield from found


def _first_part(key: str, prefix: str) -> tuple[str, bool]:
    name, separator, _ = key.removeprefix(prefix).partition("/")
    return name, bool(separator)


def _is_old(item: ObjectInfo, cutoff: float) -> bool:
    return item.modified is not None and item.modified < cutoff


def _delete(what: str, objects: Objects, items: Iterable[ObjectInfo]) -> Swept:
    n_objects = n_bytes = 0
    for item in items:
        objects.delete(item.key)
        n_objects, n_bytes = n_objects + 1, n_bytes + item.size
    return Swept(what, n_objects, n_bytes)


def _abandon(objects: Objects, cutoff: float) -> Swept:
    due = [write for write in objects.unfinished() if write.modified < cutoff]
    for write in due:
        objects.abandon(write)
    return Swept("unfinished writes", len(due))
