"""Training a context encoder on Ray: one or more workers, with restarts and resume.

The driver calls `train_context_encoder` inside an initialised Ray session; `_train_worker` runs on every worker and is the one
place where text, objective, and training loop meet. A checkpoint of the run holds all ranks' parts and the curve so far, the
last one the exported encoder; a finished run only hands that out again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lloco_core.distributed.ray_train import last_checkpoint, report_folder, run_on_workers
from lloco_core.encoder_training.publish import CURVE, RECORD, publish, refuse_foreign_output
from lloco_core.encoder_training.record import TrainingRecord
from lloco_core.encoder_training.run import EncoderRunConfig, run_name, with_absolute_paths

if TYPE_CHECKING:
    import torch

    from lloco_core.encoder_training.curves import CurveFile
    from lloco_core.encoder_training.loop import Progress
    from lloco_core.encoder_training.text.cache import TokenCache
    from lloco_core.encoder_training.text.tokens import TextTokenizer
    from lloco_core.encoder_training.trainee import Trainee

ENCODER_FOLDER = "encoder"
"""In the last checkpoint of a run."""
WAIT_SECONDS = 7200
"""Ranks wait so long for one another: one may still tokenise, or measure, while the others are ready."""
POLL_SECONDS = 1.0

Line = dict[str, Any]
"""A step of the curve: the fields of `Progress`, and `validation` behind steps that were measured."""
TraineeOf = Callable[["EncoderRunConfig", "torch.dtype", "torch.device"], "Trainee"]
"""What a worker trains; called on every worker."""


@dataclass(frozen=True, slots=True)
class EncoderJob:
    """What Ray carries to the workers."""

    config: EncoderRunConfig
    run: str
    code: str
    """Commit of this package on the driver."""


def model_and_objective(config: EncoderRunConfig, dtype: torch.dtype, device: torch.device) -> Trainee:
    """What the configuration says."""
    from lloco_core.encoder_training.trainee import build_trainee

    return build_trainee(config, dtype, device)


def train_context_encoder(
    config: EncoderRunConfig, on_step: Callable[[Line], None], trainee_of: TraineeOf = model_and_objective
) -> tuple[TrainingRecord, list[Line]]:
    """Train an encoder on the cluster and put it to `config.output`; its record and its curve. Ray must be initialised.

    Args:
        on_step: called on the driver, in a thread of its own, soon after every step that is done.

    Raises:
        ConfigurationError: the output holds another encoder, or the cluster has no GPU.
        CheckpointError: the checkpoint to start from cannot be used.
    """
    from lloco_core.encoder_training.curves import read
    from lloco_core.settings import settings

    config = with_absolute_paths(config)
    run = run_name(config)
    refuse_foreign_output(config.output, run)
    with _mailbox(on_step) as mailbox:
        checkpoint = run_on_workers(
            _train_worker,
            {"job": EncoderJob(config, run, settings().git_commit), "mailbox": mailbox, "trainee_of": trainee_of},
            run_name=run,
            root=config.output,
            cluster=config.cluster,
            device=config.device,
            device_setting="device",
            wait_seconds=WAIT_SECONDS,
        )
    with checkpoint.as_directory() as folder:
        record = TrainingRecord(**json.loads(Path(folder, RECORD).read_text()))
        publish(Path(folder, ENCODER_FOLDER), record.as_json(), Path(folder, CURVE), config.output)
        return record, read(Path(folder, CURVE))


def _train_worker(config: dict[str, Any]) -> None:
    """One rank: resume, train, export. Its last report carries the encoder."""
    import ray.train
    from ray.train.torch import get_device

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    with tempfile.TemporaryDirectory(prefix="lloco-resume-") as folder:
        resume_from = last_checkpoint(Path(folder))
        if resume_from and (resume_from / RECORD).exists():
            return  # a finished run was started again: its last checkpoint is the answer
        rank = ray.train.get_context().get_world_rank()
        recorder = _Recorder(rank, Path(folder, "curve", CURVE), resume_from, config["mailbox"])
        _train(config["job"], config["trainee_of"], get_device(), recorder, resume_from)


def _train(job: EncoderJob, trainee_of: TraineeOf, device: torch.device, recorder: _Recorder, resume_from: Path | None) -> None:
    import ray.train

    from lloco_core.compressor.loading import tokenizer_folder
    from lloco_core.compressor.tokenizing import load_tokenizer
    from lloco_core.encoder_training.engine import training_dtype
    from lloco_core.encoder_training.loop import train_encoder
    from lloco_core.encoder_training.text.loader import TextLoader
    from lloco_core.encoder_training.text.source import TextSource
    from lloco_core.encoder_training.text.tokenising import open_token_cache
    from lloco_core.encoder_training.text.tokens import TextTokenizer

    config, context = job.config, ray.train.get_context()
    tokenizer = TextTokenizer.of(load_tokenizer(tokenizer_folder(config.start)))
    cache = open_token_cache(config.text, tokenizer)
    source = TextSource(config.text, cache, tokenizer, rank=context.get_world_rank(), world_size=context.get_world_size())
    trainee = trainee_of(config, training_dtype(config.training, device), device)
    if config.validation:
        recorder.validation = _Validation(config, trainee, cache, tokenizer)
    with TextLoader(source, config.text.threads, config.text.ahead, pin=device.type == "cuda") as loader:
        progress = train_encoder(
            trainee.module, trainee.objective, loader, config.training, report=recorder, device=device, resume_from=resume_from
        )
    with tempfile.TemporaryDirectory(prefix="lloco-encoder-") as folder:
        trainee.export(Path(folder, ENCODER_FOLDER))
        if context.get_world_rank() == 0:
            validation = recorder.validation.newest if recorder.validation else None
            record = TrainingRecord.of(job.run, config, progress, validation, cache.report, _name_of(device), job.code)
            Path(folder, RECORD).write_text(json.dumps(record.as_json()))
        recorder.report_with_curve(progress, Path(folder))


class _Recorder:
    """The loop's callback on one rank: steps go to the curve and to the driver, checkpoints to Ray."""

    def __init__(self, rank: int, curve: Path, resume_from: Path | None, mailbox: Any) -> None:
        self._is_first, self._path, self._mailbox = rank == 0, curve, mailbox
        self._curve: CurveFile | None = None
        self.validation: _Validation | None = None
        if self._is_first:
            from lloco_core.encoder_training.curves import CurveFile

            curve.parent.mkdir()
            if resume_from:
                shutil.copyfile(resume_from / CURVE, curve)
            self._curve = CurveFile(curve)

    def __call__(self, progress: Progress, folder: Path | None) -> None:
        if folder:
            self.report_with_curve(progress, folder)
            return
        line = asdict(progress)
        if self.validation and (measured := self.validation.after(progress.step)):
            line["validation"] = measured
        if self._curve:
            self._curve.add(line)
            self._mailbox.post.remote(line)

    def report_with_curve(self, progress: Progress, folder: Path) -> None:
        """Report a checkpoint; on the first rank with the curve so far."""
        if self._is_first:
            shutil.copyfile(self._path, folder / CURVE)
        report_folder(asdict(progress), folder)


class _Validation:
    """Measurements between steps. All ranks come together for the encoder, the first one measures."""

    def __init__(self, config: EncoderRunConfig, trainee: Trainee, cache: TokenCache, tokenizer: TextTokenizer) -> None:
        from lloco_core.encoder_training.trainee import is_first_rank
        from lloco_core.encoder_training.validation import Validation

        self._settings, self._steps, self._trainee = config.validation, config.training.steps, trainee
        self.newest: Line | None = None
        self._validation: Validation | None = None
        if is_first_rank():
            self._validation = Validation(
                cache,
                config.text,
                tokenizer,
                trainee.segment_length,
                config.validation.windows,
                trainee.first_model,
                following=config.validation.following,
            )

    def after(self, step: int) -> Line | None:
        """A perplexity table, on the first rank behind the steps that are measured."""
        import torch

        if step % self._settings.every_steps and step != self._steps:
            return None
        with self._trainee.encoder() as encoder:
            if self._validation:
                self.newest = self._validation.measure(encoder)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # an encoder's engine takes nearly all free memory, and NCCL needs some outside of torch
        return self.newest


class Mailbox:
    """Lines on their way from the first worker to the driver; a Ray actor."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def post(self, line: Line) -> None:
        """Leave a line."""
        self._lines.append(line)

    def take(self) -> list[Line]:
        """Fetch all lines that were left since the last time."""
        lines, self._lines = self._lines, []
        return lines


@contextmanager
def _mailbox(on_line: Callable[[Line], None]) -> Iterator[Any]:
    """An actor to post lines to; `on_line` gets them on this process."""
    import ray

    actor = ray.remote(num_cpus=0)(Mailbox).remote()
    is_over = threading.Event()

    def empty() -> None:
        for line in ray.get(actor.take.remote()):
            on_line(line)

    def follow() -> None:
        while not is_over.wait(POLL_SECONDS):
            empty()

    thread = threading.Thread(target=follow, name="training-progress", daemon=True)
    thread.start()
    try:
        yield actor
    finally:
        is_over.set()
        thread.join()
    empty()
    ray.kill(actor)


def _name_of(device: torch.device) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
