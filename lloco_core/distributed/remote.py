"""One call on a worker of the connected cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from lloco_core.errors import LlocoError

P = ParamSpec("P")
T = TypeVar("T")


def on_a_worker(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`function(*args, **kwargs)` on one core. Errors of this package come back as they were raised, others with the remote traceback."""
    import ray

    try:
        return ray.get(ray.remote(num_cpus=1)(function).remote(*args, **kwargs))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, LlocoError):
            raise error.cause from None
        raise
