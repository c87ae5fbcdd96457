"""Registrations that kill themselves (SIGKILL) at named points.

`python -m tests.crash.registering <point>=<store> ...` forks a process per point and prints the signal that ended each.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from tests.crash.drill import die
from tests.crash.forks import fork
from tests.crash.loop import kill_before

POINTS = (
    "before a file is published",
    "before the manifest is published",
    "before activating",
    "before recording",
    "before the next candidate",
    "before the night names them",
    "before the night's row",
)


def register_all(store_uri: str, point: str = "") -> None:
    """What `flows/register_adapters.py` does with the candidates of a store."""
    from lloco_core.adapters import waiting_candidates
    from lloco_core.registry import publish
    from lloco_core.store import nights
    from lloco_core.store.tables import Store

    arm(point)
    store = Store(store_uri)
    for candidate in waiting_candidates(store):
        publish.register(store, candidate)
    nights.publish_adapters(store)


def arm(point: str) -> None:
    """Let this process kill itself at a point."""
    from lloco_core.objects import LocalObjects
    from lloco_core.registry import publish
    from lloco_core.store import nights

    if point == "before a file is published":
        kill_at_key(LocalObjects, "adapter_model.safetensors")
    elif point == "before the manifest is published":
        kill_at_key(LocalObjects, "manifest.json")
    elif point == "before activating":
        kill_before(publish, "activate", 0)
    elif point == "before recording":
        kill_before(publish, "_record", 0)
    elif point == "before the next candidate":
        kill_before(publish, "register", 1)
    elif point == "before the night names them":
        kill_before(nights, "publish_adapters", 0)
    elif point == "before the night's row":
        kill_before(nights, "_record", 0)
    else:
        assert not point, point


def kill_at_key(objects: Any, name: str) -> None:
    original = objects.create

    def create(self: Any, key: str, data: bytes) -> bool:
        if key.startswith("adapters/") and key.endswith(name):
            die()
        return original(self, key, data)

    objects.create = create


def main() -> None:
    for drill in sys.argv[1:]:
        point, _, store_uri = drill.partition("=")
        status = os.waitpid(fork(register_all, store_uri, point), 0)[1]
        sys.stdout.write(f"{point}={os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main()
