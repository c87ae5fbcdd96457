"""Ray Train: the training loop of an adapter on one or more workers, with restarts and resume.

A run is its name: started again under the same name it goes on from its last checkpoint below `<store>/_training`, and
a finished run only hands its adapter out again. The driver calls `train_adapter` inside an initialised Ray session;
`_train_worker` runs on every worker and is the one place where encoder, store, and training loop meet.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lloco_core.config import AnswerConfig, EncoderConfig, FinetuneConfig
from lloco_core.distributed.session import cluster_gpus, local_cores
from lloco_core.errors import ConfigurationError
from lloco_core.objects import canonical_root
from lloco_core.settings import CONNECT_SECONDS, REQUEST_SECONDS, S3_ENVIRONMENT, settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow.fs

    from lloco_core.config import ClusterConfig
    from lloco_core.finetune.loop import FinetuneResult, Progress

logger = logging.getLogger(__name__)

TRAINING_FOLDER = "_training"
"""Below the store's root: checkpoints of runs."""
ADAPTER_FOLDER = "adapter"
RESULT_FILE = "result.json"
"""In the last checkpoint of a run; its presence says that the run is finished."""
MAX_FAILURES = 3
CHECKPOINTS_KEPT = 2


@dataclass(frozen=True, slots=True)
class FinetuneJob:
    """One adapter to train: what Ray carries to the workers."""

    group: str
    run_name: str
    """Equal inputs must give equal names, and other inputs other names: the name decides what is resumed."""
    examples_uri: str
    """Parquet of examples, as `finetune.rows.write_examples` writes it."""
    store_uri: str
    night: str | None
    """Which state of the store to read; None for the newest."""
    encoder: EncoderConfig
    recipe: FinetuneConfig
    answer: AnswerConfig
    output: str
    """Local folder on the driver that receives the adapter; replaced when it exists."""
    base_model_name: str | None = None
    """Written into the adapter exactly as given; by default the encoder's model string."""
    max_length: int | None = None
    """Context limit for Ray Serve, written into the adapter when given."""

    def __post_init__(self) -> None:
        if not self.run_name or self.run_name.startswith(".") or set(self.run_name) & set("/\\"):
            raise ConfigurationError(f"run name {self.run_name!r} is not a plain folder name; leave out '/', '\\' and leading dots")


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """What a worker trains with."""

    model: Any
    """A stock transformers causal language model."""
    tokenizer: Any
    vectors_of: Callable[[str], np.ndarray]
    """doc_id -> what stands in front of the question [K, H]: summary vectors, and control tokens where the encoder has them."""


InputsOf = Callable[[FinetuneJob, str, str], TrainingInputs]
"""(job, device, dtype) -> inputs; called on every worker."""


def stored_inputs(job: FinetuneJob, device: str, dtype: str) -> TrainingInputs:
    """Model and tokenizer of the job's encoder, vectors from the job's store."""
    from lloco_core.compressor import load_encoder
    from lloco_core.store.read import open_night

    encoder = load_encoder(job.encoder.model, device=device, dtype=dtype)
    night = open_night(job.store_uri, job.night)
    return TrainingInputs(encoder.model, encoder.tokenizer, lambda doc_id: encoder.soft_prompt(night.summaries(doc_id)))


def train_adapter(job: FinetuneJob, cluster: ClusterConfig, inputs_of: InputsOf = stored_inputs) -> FinetuneResult:
    """Train an adapter on the cluster and put it into the folder `job.output`. Ray must be initialised."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    use_gpu = job.encoder.device != "cpu" and cluster_gpus() > 0
    if job.encoder.device == "cuda" and not use_gpu:
        raise ConfigurationError("encoder.device is cuda but the Ray cluster has no GPU; set encoder.device to auto or add GPU nodes")
    filesystem, path = training_storage(job.store_uri)
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={"job": job, "inputs_of": inputs_of},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=cluster.train_workers, use_gpu=use_gpu),
        run_config=RunConfig(
            name=job.run_name,
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=CheckpointConfig(num_to_keep=CHECKPOINTS_KEPT),
            worker_runtime_env={"env_vars": _worker_environment(use_gpu, cluster)},
        ),
    )
    checkpoint = trainer.fit().checkpoint
    with checkpoint.as_directory() as folder:
        return _hand_out(Path(folder), Path(job.output))


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


def _train_worker(config: dict[str, Any]) -> None:
    """One rank: load, resume, train, save. Its last report carries the adapter."""
    import ray.train
    from ray.train.torch import get_device

    from lloco_core.finetune.loop import finetune
    from lloco_core.finetune.lora import attach_lora, save_adapter
    from lloco_core.finetune.rows import FinetuneDataset, read_examples, split_holdout

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    job: FinetuneJob = config["job"]
    device = get_device()
    with tempfile.TemporaryDirectory(prefix="lloco-resume-") as resume_folder:
        resume_from = _last_checkpoint(Path(resume_folder))
        if resume_from and (resume_from / RESULT_FILE).exists():
            return  # a finished run was started again: its last checkpoint is the answer
        inputs = config["inputs_of"](job, str(device), "bfloat16" if device.type == "cuda" else "float32")
        train, held_out = (
            FinetuneDataset(rows, inputs.vectors_of, inputs.tokenizer, job.answer)
            for rows in split_holdout(read_examples(job.examples_uri), job.recipe.holdout, job.recipe.seed)
        )
        model = attach_lora(inputs.model, job.recipe)
        result = finetune(model, train, held_out, job.recipe, report=_report, device=device, resume_from=resume_from)
    with tempfile.TemporaryDirectory(prefix="lloco-adapter-") as folder:
        save_adapter(model, Path(folder, ADAPTER_FOLDER), job.base_model_name or job.encoder.model, job.max_length)
        if ray.train.get_context().get_world_rank() == 0:
            Path(folder, RESULT_FILE).write_text(json.dumps(asdict(result)))
        _report_folder(asdict(result), Path(folder))


def _last_checkpoint(folder: Path) -> Path | None:
    """Bring the run's last checkpoint into `folder`; None on a first start."""
    import ray.train

    checkpoint = ray.train.get_checkpoint()
    return Path(checkpoint.to_directory(str(folder))) if checkpoint else None


def _report(progress: Progress, folder: Path | None) -> None:
    """The loop's callback: checkpoints go to Ray, every rank's part of them; single steps stay in the worker's log."""
    if folder:
        _report_folder(asdict(progress), folder)
    else:
        logger.debug("step %d loss %.4f", progress.step, progress.loss)


def _report_folder(metrics: dict[str, Any], folder: Path) -> None:
    import ray.train

    ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(str(folder)))


def _hand_out(checkpoint: Path, output: Path) -> FinetuneResult:
    """Copy the adapter beside its target, then rename: a reader never sees half an adapter."""
    from lloco_core.finetune.loop import FinetuneResult

    result = FinetuneResult(**json.loads((checkpoint / RESULT_FILE).read_text()))
    output = output.absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".copying-") as beside:
        shutil.copytree(checkpoint / ADAPTER_FOLDER, Path(beside, "adapter"))
        if output.exists():
            shutil.rmtree(output)
        Path(beside, "adapter").rename(output)
    return result


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
