"""One rank of a run of encoder training, wherever it runs: here text, objective, loop, measurements, and export meet.

Who starts the ranks is also who keeps what they report (`Keeper`): Ray Train for a cluster, a folder for one machine.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from lloco_core.compressor.loading import tokenizer_folder
from lloco_core.compressor.tokenizing import load_tokenizer
from lloco_core.encoder_training.curves import CurveFile
from lloco_core.encoder_training.engine import training_dtype
from lloco_core.encoder_training.loop import train_encoder
from lloco_core.encoder_training.publish import CURVE, RECORD
from lloco_core.encoder_training.record import TrainingRecord
from lloco_core.encoder_training.text.loader import TextLoader
from lloco_core.encoder_training.text.source import TextSource
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.encoder_training.trainee import Trainee, build_trainee
from lloco_core.encoder_training.validation import Validation

if TYPE_CHECKING:
    from lloco_core.encoder_training.loop import Progress
    from lloco_core.encoder_training.run import EncoderRunConfig
    from lloco_core.encoder_training.text.cache import TokenCache

ENCODER_FOLDER = "encoder"
"""In the last checkpoint of a run."""

Line = dict[str, Any]
"""A step of the curve: the fields of `Progress`, and `validation` behind steps that were measured."""
TraineeOf = Callable[["EncoderRunConfig", torch.dtype, torch.device], Trainee]
"""What a rank trains; called on every rank."""


@dataclass(frozen=True, slots=True)
class EncoderJob:
    """What every rank is told."""

    config: EncoderRunConfig
    run: str
    code: str
    """Commit of this package."""


class Keeper(Protocol):
    """Whom the ranks report to."""

    def step(self, line: Line) -> None:
        """A step is done; called on the first rank."""
        ...

    def keep(self, progress: Progress, folder: Path) -> None:
        """Keep a checkpoint: the files of all ranks' folders together. Called on every rank; the folder goes when it returns."""
        ...


def is_finished(checkpoint: Path) -> bool:
    """Whether a checkpoint is a run's last one, which holds the encoder."""
    return (checkpoint / RECORD).exists()


def train_rank(
    job: EncoderJob,
    keeper: Keeper,
    device: torch.device,
    *,
    rank: int = 0,
    world_size: int = 1,
    resume_from: Path | None = None,
    trainee_of: TraineeOf = build_trainee,
) -> None:
    """Resume, train, export. The last checkpoint that is kept holds record, curve, and encoder.

    Args:
        resume_from: the newest checkpoint of this run; not a finished one.

    Raises:
        CheckpointError: the checkpoint to start from, or the one to go on from, cannot be used.
        TrainingTextError: the text cannot be used.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    config = job.config
    tokenizer = TextTokenizer.of(load_tokenizer(tokenizer_folder(config.start)))
    cache = open_token_cache(config.text, tokenizer)
    source = TextSource(config.text, cache, tokenizer, rank=rank, world_size=world_size)
    trainee = trainee_of(config, training_dtype(config.training, device), device)
    measuring = _Measuring(config, trainee, cache, tokenizer, is_first=rank == 0) if config.validation else None
    with tempfile.TemporaryDirectory(prefix="lloco-curve-") as scratch:
        reports = _Reports(keeper, measuring, Path(scratch, CURVE) if rank == 0 else None, resume_from)
        with TextLoader.of(source, config.text, pin=device.type == "cuda") as loader:
            progress = train_encoder(
                trainee.module, trainee.objective, loader, config.training, report=reports, device=device, resume_from=resume_from
            )
        with tempfile.TemporaryDirectory(prefix="lloco-encoder-") as folder:
            trainee.export(Path(folder, ENCODER_FOLDER))
            if rank == 0:
                validation = measuring.newest if measuring else None
                record = TrainingRecord.of(job.run, config, progress, validation, cache.report, _name_of(device), job.code)
                Path(folder, RECORD).write_text(json.dumps(record.as_json()))
            reports.keep(progress, Path(folder))


class _Reports:
    """The loop's callback: steps are measured and drawn, checkpoints get the curve so far."""

    def __init__(self, keeper: Keeper, measuring: _Measuring | None, path: Path | None, resume_from: Path | None) -> None:
        self._keeper, self._measuring, self._path = keeper, measuring, path
        if path and resume_from:
            shutil.copyfile(resume_from / CURVE, path)
        self._curve = CurveFile(path) if path else None

    def __call__(self, progress: Progress, folder: Path | None) -> None:
        if folder:
            self.keep(progress, folder)
            return
        line = asdict(progress)
        if self._measuring and (measured := self._measuring.after(progress.step)):
            line["validation"] = measured
        if self._curve:
            self._curve.add(line)
            self._keeper.step(line)

    def keep(self, progress: Progress, folder: Path) -> None:
        if self._path:
            shutil.copyfile(self._path, folder / CURVE)
        self._keeper.keep(progress, folder)


class _Measuring:
    """Measurements between steps. All ranks come together for the encoder, the first one measures."""

    def __init__(self, config: EncoderRunConfig, trainee: Trainee, cache: TokenCache, tokenizer: TextTokenizer, *, is_first: bool) -> None:
        self._settings, self._steps, self._trainee = config.validation, config.training.steps, trainee
        self.newest: Line | None = None
        self._validation: Validation | None = None
        if is_first:
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
        if step % self._settings.every_steps and step != self._steps:
            return None
        with self._trainee.encoder() as encoder:
            if self._validation:
                self.newest = self._validation.measure(encoder)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # an encoder's engine takes nearly all free memory, and NCCL needs some outside of torch
        return self.newest


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
