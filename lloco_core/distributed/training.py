"""Training an adapter on Ray: one or more workers, with restarts and resume.

A run that is finished only hands its adapter out again. The driver calls `train_adapter` inside an initialised Ray session;
`_train_worker` runs on every worker and is the one place where encoder, store, and training loop meet.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lloco_core.config import AnswerConfig, EncoderConfig, FinetuneConfig
from lloco_core.distributed.ray_train import last_checkpoint, report_folder, run_on_workers
from lloco_core.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

    from lloco_core.config import ClusterConfig
    from lloco_core.finetune.loop import FinetuneResult, Progress

logger = logging.getLogger(__name__)

ADAPTER_FOLDER = "adapter"
RESULT_FILE = "result.json"
"""In the last checkpoint of a run; its presence says that the run is finished."""


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
    checkpoint = run_on_workers(
        _train_worker,
        {"job": job, "inputs_of": inputs_of},
        run_name=job.run_name,
        root=job.store_uri,
        cluster=cluster,
        device=job.encoder.device,
        device_setting="encoder.device",
    )
    with checkpoint.as_directory() as folder:
        return _hand_out(Path(folder), Path(job.output))


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
        resume_from = last_checkpoint(Path(resume_folder))
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
        report_folder(asdict(result), Path(folder))


def _report(progress: Progress, folder: Path | None) -> None:
    """The loop's callback: checkpoints go to Ray, every rank's part of them; single steps stay in the worker's log."""
    if folder:
        report_folder(asdict(progress), folder)
    else:
        logger.debug("step %d loss %.4f", progress.step, progress.loss)


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
