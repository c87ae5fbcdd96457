"""A Ray of the test process, which all contract tests share, as it takes seconds to start one."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from lloco_core.config import ClusterConfig
from lloco_core.distributed.local_ray import start_local_ray

QUICK = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",  # every report waits for the next check
    "RAY_metrics_report_interval_ms": "1000",
}


@contextmanager
def own_ray(worker_environment: Mapping[str, str]) -> Iterator[None]:
    """A Ray on the loopback, in a short folder (socket paths are limited); only its workers get the given environment."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    quiet = {
        "RAY_TMPDIR": folder,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with pytest.MonkeyPatch.context() as patch:
        _set(patch, quiet | QUICK)
        patch.delenv("RAY_ADDRESS", raising=False)
        import ray

        if ray.is_initialized():
            ray.shutdown()
        with pytest.MonkeyPatch.context() as at_start:
            _set(at_start, worker_environment)
            start_local_ray(ClusterConfig(object_store_mb=100))
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sent_by_value(module_name: str) -> Iterator[None]:
    """Workers get what the module defines by value: they cannot import a test."""
    import ray

    module = sys.modules[module_name]
    ray.cloudpickle.register_pickle_by_value(module)
    yield
    ray.cloudpickle.unregister_pickle_by_value(module)


def _set(patch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        patch.setenv(name, value)
