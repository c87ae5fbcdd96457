"""A Ray for one test module alone."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def own_ray(module_name: str, **environment: str) -> Iterator[None]:
    """A Ray on the loopback, in a short folder (socket paths are limited), whose workers get the module by value."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    quiet = {
        "RAY_TMPDIR": folder,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (quiet | environment).items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        import ray

        if ray.is_initialized():
            ray.shutdown()
        module = sys.modules[module_name]
        ray.cloudpickle.register_pickle_by_value(module)  # workers cannot import a test
        ray.init(address="local", num_cpus=3, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
        yield
        ray.shutdown()
        ray.cloudpickle.unregister_pickle_by_value(module)
    shutil.rmtree(folder, ignore_errors=True)
