"""Starting Ray on this machine: on a busy one its processes may be too slow for one another, so a start that failed is tried again."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lloco_core.descendants import adopting_orphans, descendants, kill_descendants
from lloco_core.errors import ClusterError
from lloco_core.settings import settings

if TYPE_CHECKING:
    import psutil

    from lloco_core.config import ClusterConfig

logger = logging.getLogger(__name__)

STARTS = 5
"""Attempts. Ray waits 15 s for its agent and 30 s for its node, and has settings for neither."""


def start_local_ray(cluster: ClusterConfig) -> None:
    """Start a cluster of this machine alone, and connect to it.

    Raises:
        ClusterError: it did not start several times in a row.
    """
    others, began = descendants(), time.monotonic()
    for left in reversed(range(STARTS)):
        try:
            with adopting_orphans():  # Ray's node ends itself when its agents are late, and these start on
                _start(cluster)
        except Exception as error:  # noqa: BLE001 - Ray raises a bare Exception when a process of it is too slow
            _remove_what_is_left(others)
            reason = error
            if isinstance(error, ValueError):  # a setting that no second attempt changes
                break
            logger.warning("Ray did not start%s: %s", ", it is started again" if left else "", error)
        else:
            return
    raise ClusterError(
        f"Ray did not start on this machine in {time.monotonic() - began:.0f} s and up to {STARTS} attempts "
        f"(load {os.getloadavg()[0]:.1f} on {local_cores()} cores): {str(reason).strip()} Its logs are in {_logs()}. "
        "Run again when the machine is less busy, or set RAY_ADDRESS to a cluster that runs"
    ) from reason


def local_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(cluster: ClusterConfig) -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=local_cores() + 2,  # reading and writing run beside encoders that take all cores
        object_store_memory=cluster.object_store_mb * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _remove_what_is_left(others: set[psutil.Process]) -> None:
    """A failed `ray.init` knows nothing of the processes that it started: they would go on beside the next ones."""
    import ray

    ray.shutdown()
    kill_descendants(but=others)


def _logs() -> Path:
    return Path(settings().temporary_folder, "ray", "session_latest", "logs").resolve()  # `session_latest` is a link
