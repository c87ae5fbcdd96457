"""Which adapter of a group is active: a numbered sequence of create-only objects, the highest number counts.

`registry/<group>/<number>.json` is written once and never changed, so promotion and rollback leave a history, two promoters
cannot both win a number, and no store needs compare-and-swap.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.objects import Objects


@dataclass(frozen=True, slots=True)
class Activation:
    """One entry of a group's history."""

    group: str
    adapter_id: str
    number: int
    activated_at: str


def activate(objects: Objects, group: str, adapter_id: str) -> Activation:
    """Make an adapter the active one of its group; nothing happens when it is already."""
    while True:
        current = active_adapter(objects, group)
        if current and current.adapter_id == adapter_id:
            return current
        number = current.number + 1 if current else 1
        entry = Activation(group, adapter_id, number, datetime.now(UTC).isoformat(timespec="seconds"))
        if objects.create(f"registry/{group}/{number:08d}.json", json.dumps(asdict(entry)).encode()):
            return entry


def active_adapter(objects: Objects, group: str) -> Activation | None:
    """The active adapter of a group, or None."""
    return next(_newest_first(objects, group), None)


def active_adapters(objects: Objects) -> dict[str, Activation]:
    """The active adapter of every group that has one, with one listing."""
    newest: dict[str, str] = {}
    for item in objects.list("registry/"):  # sorted: the last entry of a group is the active one
        newest[item.key.rpartition("/")[0]] = item.key
    entries = [Activation(**json.loads(objects.get(key))) for key in newest.values()]
    return {entry.group: entry for entry in entries}


def previous_adapter(objects: Objects, group: str, adapter_id: str) -> str | None:
    """The adapter that another one follows: the last one activated besides it."""
    return next((entry.adapter_id for entry in _newest_first(objects, group) if entry.adapter_id != adapter_id), None)


def _newest_first(objects: Objects, group: str) -> Iterator[Activation]:
    for key in sorted((item.key for item in objects.list(f"registry/{group}/")), reverse=True):
        yield Activation(**json.loads(objects.get(key)))
