"""Connecting to Ray: the cluster of RAY_ADDRESS, or this machine."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lloco_core.distributed.local_ray import local_cores, start_local_ray
from lloco_core.errors import ConfigurationError
from lloco_core.settings import LOCAL_RAY_ENVIRONMENT, RAY_ENVIRONMENT, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.config import ClusterConfig, EncoderConfig


logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10


@contextmanager
def ray_session(cluster: ClusterConfig) -> Iterator[None]:
    """Hold a Ray session; one that is open already is used and left open."""
    for name, value in (RAY_ENVIRONMENT if settings().ray_address else RAY_ENVIRONMENT | LOCAL_RAY_ENVIRONMENT).items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    warnings.filterwarnings("ignore", message="lance is not fork-safe")  # Ray starts its processes anew, it does not fork
    if settings().ray_address:
        _refuse_silent_address(settings().ray_address)
        ray.init(address=settings().ray_address, log_to_driver=False, logging_level=logging.ERROR)
    else:
        start_local_ray(cluster)
    _take_sigterm_back()
    try:
        yield
    finally:
        ray.shutdown()


def _take_sigterm_back() -> None:
    """Put the process's own handler before that of Ray's core, which prints a stack trace first."""
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def cluster_gpus() -> float:
    """GPUs of the connected cluster."""
    import ray

    return ray.cluster_resources().get("GPU", 0)


def resolve_encoder(encoder: EncoderConfig, cluster: ClusterConfig) -> EncoderConfig:
    """Replace `auto` by what the connected cluster gives: every worker then encodes with the same number format."""
    uses_gpu = cluster.gpus_per_encoder != 0 and cluster_gpus() > 0 and encoder.device != "cpu"
    device = ("cuda" if uses_gpu else "cpu") if encoder.device == "auto" else encoder.device
    dtype = ("bfloat16" if device == "cuda" else "float32") if encoder.dtype == "auto" else encoder.dtype
    return encoder.model_copy(update={"device": device, "dtype": dtype})


def encoder_resources(encoder: EncoderConfig, cluster: ClusterConfig) -> dict[str, float]:
    """Ray resources of one encoder actor."""
    if encoder.device == "cuda":
        gpus = 1.0 if cluster.gpus_per_encoder is None else cluster.gpus_per_encoder
        return {"num_cpus": cluster.cpus_per_encoder or 1, "num_gpus": gpus}
    default = 1 if settings().ray_address else max(1, local_cores() // cluster.encoders)
    return {"num_cpus": cluster.cpus_per_encoder or default, "num_gpus": 0}


def shards_in_flight(encoder: EncoderConfig, cluster: ClusterConfig) -> int:
    """Shards one encoder actor works on at once."""
    return cluster.shards_in_flight or (3 if encoder.device == "cuda" else 1)


def describe_cluster(address: str) -> str:
    """Nodes, CPUs, and GPUs of a running cluster.

    Raises:
        ConfigurationError: it does not answer.
    """
    import ray

    _refuse_silent_address(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigurationError(f"no Ray cluster answers at {address}: {error}; check RAY_ADDRESS and RAY_AUTH_MODE") from error
    try:
        resources = ray.cluster_resources()
        return f"{len(ray.nodes())} nodes, {resources.get('CPU', 0):.0f} CPUs, {resources.get('GPU', 0):.0f} GPUs"
    finally:
        ray.shutdown()


def _refuse_silent_address(address: str) -> None:
    """Ray itself tries an address for minutes before it gives up, without saying so."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return  # `auto` and the like
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigurationError(f"no Ray cluster answers at {address}: {error}; check RAY_ADDRESS and that the head node is up") from error
