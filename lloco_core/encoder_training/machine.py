"""A run of encoder training on this machine's devices: no cluster, no scheduler, the same steps, checkpoints, and output.

`python -m lloco_core.encoder_training --config FILE` runs it on one device, `torchrun --nproc-per-node N -m
lloco_core.encoder_training --config FILE --cluster.train-workers N` on several. Checkpoints lie below `<output>/_training/<run>`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from lloco_core.encoder_training.curves import read
from lloco_core.encoder_training.publish import CURVE, RECORD, publish, refuse_foreign_output
from lloco_core.encoder_training.rank import ENCODER_FOLDER, EncoderJob, Line, is_finished, train_rank
from lloco_core.encoder_training.record import TrainingRecord
from lloco_core.encoder_training.run import EncoderRunConfig, run_name, with_absolute_paths
from lloco_core.errors import ConfigurationError
from lloco_core.settings import settings
from lloco_core.training.engine import join_process_group

if TYPE_CHECKING:
    from lloco_core.encoder_training.loop import Progress

TRAINING_FOLDER = "_training"
"""Below the output: checkpoints of runs."""


def train_on_this_machine(config: EncoderRunConfig, on_step: Callable[[Line], None]) -> tuple[TrainingRecord, list[Line]]:
    """Train an encoder in this process, or in the ranks that torchrun started, and put it to `config.output`; its record and its curve.

    Equal inputs go on where they ended.

    Args:
        on_step: called on the first rank after every step.

    Raises:
        ConfigurationError: another number of processes than workers, an output that is no folder or holds another encoder, or no GPU
            for `device: cuda`.
        CheckpointError: the checkpoint to start from cannot be used.
    """
    config = with_absolute_paths(config)
    device = _device(config)
    join_process_group(device)
    _refuse_clusters(config)
    run = run_name(config)
    refuse_foreign_output(config.output, run)
    checkpoints = CheckpointFolder(Path(config.output).expanduser() / TRAINING_FOLDER / run, on_step)
    newest = checkpoints.newest()
    dist.barrier()  # nobody may write before everybody has looked
    if newest is None or not is_finished(newest):
        job = EncoderJob(config, run, settings().git_commit)
        train_rank(job, checkpoints, device, rank=dist.get_rank(), world_size=dist.get_world_size(), resume_from=newest)
    last = checkpoints.newest()
    record = TrainingRecord(**json.loads((last / RECORD).read_text()))
    if dist.get_rank() == 0:
        publish(last / ENCODER_FOLDER, record.as_json(), last / CURVE, config.output)
    dist.barrier()
    return record, read(last / CURVE)


class CheckpointFolder:
    """Keeps the newest checkpoint of a run in a folder that all ranks see; see `Keeper`."""

    def __init__(self, folder: Path, on_step: Callable[[Line], None]) -> None:
        self._folder, self._on_step = folder, on_step

    def step(self, line: Line) -> None:
        """Pass it on."""
        self._on_step(line)

    def keep(self, progress: Progress, folder: Path) -> None:
        """A checkpoint appears whole, then older ones go. The last one, of the encoder, stands behind that of the last step."""
        making, is_first = self._folder / "making", dist.get_rank() == 0
        if is_first:
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
        dist.barrier()
        shutil.copytree(folder, making, dirs_exist_ok=True)
        dist.barrier()
        if is_first:
            older = self._all()
            making.rename(self._folder / f"checkpoint-{progress.step:09}{'-encoder' if is_finished(making) else ''}")
            for path in older:
                shutil.rmtree(path)
        dist.barrier()

    def newest(self) -> Path | None:
        """The checkpoint to go on from; None on a first start."""
        return max(self._all(), default=None)

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("checkpoint-*"))


def _refuse_clusters(config: EncoderRunConfig) -> None:
    workers, processes = config.cluster.train_workers, dist.get_world_size()
    if workers != processes:
        raise ConfigurationError(
            f"cluster.train_workers is {workers}, and {processes} of them run here; start as many with torchrun --nproc-per-node {workers} "
            "-m lloco_core.encoder_training, or run python -m flows.train_encoder on a cluster"
        )
    if "://" in config.output:
        raise ConfigurationError(f"output {config.output} is no folder; choose one, or run python -m flows.train_encoder")


def _device(config: EncoderRunConfig) -> torch.device:
    found = torch.cuda.is_available()
    if config.device == "cuda" and not found:
        raise ConfigurationError("device is cuda, but this machine has no GPU; set device to auto")
    if not found or config.device == "cpu":
        return torch.device("cpu")
    device = torch.device("cuda", dist.get_node_local_rank(fallback_rank=0))
    torch.cuda.set_device(device)
    return device
