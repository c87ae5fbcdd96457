"""Training a context encoder on Ray: one or more workers, with restarts and resume.

The driver calls `train_context_encoder` inside an initialised Ray session; every worker runs `train_rank`. A checkpoint of the run
holds all ranks' parts and the curve so far, the last one the exported encoder; a finished run only hands that out again.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lloco_core.distributed.ray_train import last_checkpoint, report_folder, run_on_workers
from lloco_core.encoder_training.publish import CURVE, RECORD, publish, refuse_foreign_output
from lloco_core.encoder_training.record import TrainingRecord
from lloco_core.encoder_training.run import run_name, with_absolute_paths

if TYPE_CHECKING:
    import torch

    from lloco_core.encoder_training.loop import Progress
    from lloco_core.encoder_training.rank import Line, TraineeOf
    from lloco_core.encoder_training.run import EncoderRunConfig
    from lloco_core.encoder_training.trainee import Trainee

WAIT_SECONDS = 7200
"""Ranks wait so long for one another: one may still tokenise, or measure, while the others are ready."""
POLL_SECONDS = 1.0


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
    from lloco_core.encoder_training.rank import ENCODER_FOLDER, EncoderJob
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
    """One rank. Its last report carries the encoder."""
    import ray.train
    from ray.train.torch import get_device

    from lloco_core.encoder_training.rank import is_finished, train_rank

    with tempfile.TemporaryDirectory(prefix="lloco-resume-") as folder:
        resume_from = last_checkpoint(Path(folder))
        if resume_from and is_finished(resume_from):
            return  # a finished run was started again: its last checkpoint is the answer
        context = ray.train.get_context()
        train_rank(
            config["job"],
            _RayKeeper(config["mailbox"]),
            get_device(),
            rank=context.get_world_rank(),
            world_size=context.get_world_size(),
            resume_from=resume_from,
            trainee_of=config["trainee_of"],
        )


class _RayKeeper:
    """Steps go to the driver, checkpoints to Ray; see `Keeper`."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def step(self, line: Line) -> None:
        self._mailbox.post.remote(line)

    def keep(self, progress: Progress, folder: Path) -> None:
        report_folder(asdict(progress), folder)


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
