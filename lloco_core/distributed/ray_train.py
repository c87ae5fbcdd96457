"""Ray Train as every training of this package uses it: a named run on some workers, its checkpoints below a root, restarts.

A run is its name: started again under the same name it goes on from its last checkpoint below `<root>/_training`.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lloco_core.distributed.session import cluster_gpus, local_cores
from lloco_core.errors import ConfigurationError, LlocoError, StorageError
from lloco_core.objects import canonical_root
from lloco_core.settings import CONNECT_SECONDS, REQUEST_SECONDS, S3_ENVIRONMENT, settings

if TYPE_CHECKING:
    import pyarrow.fs
    from ray.train import Checkpoint, Result
    from ray.train.torch import TorchTrainer

    from lloco_core.config import ClusterConfig

logger = logging.getLogger(__name__)

TRAINING_FOLDER = "_training"
"""Below the root: checkpoints of runs."""
MAX_FAILURES = 3
CHECKPOINTS_KEPT = 2
WAIT_SECONDS = 1800
"""Workers wait for one another this long in a collective operation; Ray's own default."""


def run_on_workers(
    worker: Callable[[dict[str, Any]], None],
    worker_config: dict[str, Any],
    *,
    run_name: str,
    root: str,
    cluster: ClusterConfig,
    device: str,
    device_setting: str,
    wait_seconds: int = WAIT_SECONDS,
) -> Checkpoint:
    """Run `worker(worker_config)` on `cluster.train_workers` ranks and return the last checkpoint. Ray must be initialised.

    Args:
        device: `auto`, `cpu`, or `cuda`.
        device_setting: the option that it comes from, for the message.
        wait_seconds: how long ranks wait for one another.

    Raises:
        ConfigurationError: `cuda` is wanted, and the cluster has no GPU.
        LlocoError: what a worker refused, at once and as it raised it; a `StorageError` more often than `MAX_FAILURES` times.
        WorkerGroupError: workers failed otherwise, more often than `MAX_FAILURES` times.
    """
    from ray.train import CheckpointConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    use_gpu = device != "cpu" and cluster_gpus() > 0
    if device == "cuda" and not use_gpu:
        raise ConfigurationError(f"{device_setting} is cuda but the Ray cluster has no GPU; set {device_setting} to auto or add GPU nodes")
    filesystem, path = training_storage(root)
    trainer = TorchTrainer(
        worker,
        train_loop_config=worker_config,
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo", timeout_s=wait_seconds),
        scaling_config=ScalingConfig(num_workers=cluster.train_workers, use_gpu=use_gpu),
        run_config=RunConfig(
            name=run_name,
            storage_path=path,
            storage_filesystem=filesystem,
            checkpoint_config=CheckpointConfig(num_to_keep=CHECKPOINTS_KEPT),
            worker_runtime_env={"env_vars": _worker_environment(use_gpu, cluster)},
        ),
    )
    return _fit(trainer, run_name).checkpoint


def _fit(trainer: TorchTrainer, run_name: str) -> Result:
    """Start the workers, and again from the last checkpoint when they fail. Ray would do so too after what they refuse for good."""
    from ray.train import WorkerGroupError

    failures = 0
    while True:
        try:
            with _own_interrupts():
                return trainer.fit()
        except WorkerGroupError as error:
            failures += 1
            reason = next((failure for failure in error.worker_failures.values() if isinstance(failure, LlocoError)), error)
            if failures > MAX_FAILURES or not isinstance(reason, (WorkerGroupError, StorageError)):
                raise reason from None
            logger.warning("workers of %s failed, they start again from the last checkpoint: %s", run_name, reason)


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Ray Train leaves a handler of Ctrl-C behind that asks a controller which is gone; put back what was there before."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def training_storage(store_uri: str) -> tuple[pyarrow.fs.FileSystem | None, str]:
    """Filesystem and path for Ray Train below a store; on S3 the path has no scheme, as Ray demands."""
    root = canonical_root(store_uri)
    if not root.startswith("s3://"):
        return None, f"{root}/{TRAINING_FOLDER}"
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    env = settings()
    options: dict[str, Any] = {
        "region": env.aws_region,
        "connect_timeout": CONNECT_SECONDS,
        "request_timeout": REQUEST_SECONDS,
        "retry_strategy": AwsStandardS3RetryStrategy(max_attempts=_attempts_of(env.s3_outage_seconds)),
    }
    if env.aws_endpoint_url:
        scheme, _, host = env.aws_endpoint_url.rpartition("://")
        options |= {"endpoint_override": host.rstrip("/"), "scheme": scheme or "https"}
    if env.aws_access_key_id and env.aws_secret_access_key:
        options |= {"access_key": env.aws_access_key_id, "secret_key": env.aws_secret_access_key.get_secret_value()}
        if env.aws_session_token:
            options["session_token"] = env.aws_session_token.get_secret_value()
    return S3FileSystem(**options), f"{root.removeprefix('s3://')}/{TRAINING_FOLDER}"


def _attempts_of(outage_seconds: float) -> int:
    """Attempts of the AWS SDK that last longer than an outage: its pauses are random, and grow to 20 s from the sixth on."""
    return 8 + math.ceil(outage_seconds / 10)


def last_checkpoint(folder: Path) -> Path | None:
    """Bring the run's last checkpoint into `folder`; None on a first start."""
    import ray.train

    checkpoint = ray.train.get_checkpoint()
    return Path(checkpoint.to_directory(str(folder))) if checkpoint else None


def report_folder(metrics: dict[str, Any], folder: Path) -> None:
    """Report a checkpoint; every rank calls it with its own part, and the parts merge into one."""
    import ray.train

    ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(str(folder)))


def _worker_environment(use_gpu: bool, cluster: ClusterConfig) -> dict[str, str]:
    environment = S3_ENVIRONMENT | {
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # else every print shows twice
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    if not use_gpu:
        threads = 1 if settings().ray_address else max(1, local_cores() // cluster.train_workers)
        environment |= {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": str(threads)}
    return environment
