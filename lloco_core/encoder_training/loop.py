"""The training loop of a context encoder, whatever its objective.

Every rank runs it. A step's loss is the mean over its batches, wherever they run, of the weighted losses of each; every loss
is back-propagated before the next is computed, and the optimizer steps after the last. The state of a run is the engine's
(weights, optimizer, schedule), one `Progress`, and every rank's place in its source; what is random is a function of seed and
batch number. So a run resumed from any checkpoint repeats the curve it would have had. The loop hands progress and checkpoint
folders to a callback and does not know who keeps them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from lloco_core.encoder_training.engine import build_engine
from lloco_core.errors import CheckpointError, ConfigurationError
from lloco_core.fingerprint import digest
from lloco_core.training.checkpoint import load_run, save_run
from lloco_core.training.engine import join_process_group, sum_over_ranks

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine
    from torch import nn

    from lloco_core.encoder_training.batch import Batch
    from lloco_core.encoder_training.objective import Curve, Objective
    from lloco_core.encoder_training.recipe import EncoderTrainingConfig
    from lloco_core.encoder_training.source import BatchSource

SOURCE_FILE = "source-{rank}.pt"
"""In a checkpoint: the place of one rank's source."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; the same on every rank, saved with every checkpoint."""

    step: int = 0
    """Optimizer steps done."""
    loss: float | None = None
    """Of the last step: mean over its batches of the weighted losses."""
    curves: dict[str, float] = field(default_factory=dict)
    """Of the last step: mean of each kind of loss over its supervised tokens, by name."""
    learning_rate: float | None = None
    """AdamW's in the last step."""
    gradient_norm: float | None = None
    """Of the last step, before clipping. Where Muon moves matrices, it is their step that counts, not their gradient."""
    tokens: int = 0
    """Tokens of text read."""
    seconds: float = 0.0
    """Summed over resumed attempts up to their last checkpoint."""


Report = Callable[[Progress, Path | None], None]
"""Called on every rank after every step. With a folder it is a checkpoint: each rank's folder holds its own part, the
parts merge into one, and the folder is deleted when the call returns."""


def train_encoder(
    model: nn.Module,
    objective: Objective,
    source: BatchSource,
    recipe: EncoderTrainingConfig,
    *,
    report: Report,
    device: torch.device | str = "cpu",
    resume_from: Path | None = None,
) -> Progress:
    """Train `model` in place.

    Args:
        resume_from: the merged parts of a checkpoint this run reported before.

    Raises:
        ConfigurationError: the batches of a step do not split among the workers, or the source ends too early.
        CheckpointError: the checkpoint is of another recipe or another number of workers.
    """
    device = torch.device(device)
    join_process_group(device)
    per_rank, rest = divmod(recipe.batches_per_step, dist.get_world_size())
    if rest:
        raise ConfigurationError(
            f"batches_per_step {recipe.batches_per_step} do not split among {dist.get_world_size()} workers; make it a multiple"
        )
    engine = build_engine(model.to(device), recipe, device)
    progress = load_checkpoint(engine, resume_from, recipe, source) if resume_from else Progress()
    batches = iter(source)
    clock = time.monotonic()
    while progress.step < recipe.steps:
        progress = train_step(engine, objective, batches, per_rank, recipe.seed, progress)
        now = time.monotonic()
        progress, clock = replace(progress, seconds=progress.seconds + now - clock), now
        report(progress, None)
        if progress.step % recipe.checkpoint_steps == 0 and progress.step < recipe.steps:
            with tempfile.TemporaryDirectory(prefix="lloco-checkpoint-") as folder:
                save_checkpoint(engine, Path(folder), progress, recipe, source)
                report(progress, Path(folder))
    return progress


def train_step(
    engine: DeepSpeedEngine, objective: Objective, batches: Iterator[Batch], per_rank: int, seed: int, progress: Progress
) -> Progress:
    """One optimizer step over `per_rank` batches of every rank."""
    engine.train()
    tally = Tally(engine.device)
    n_tokens = 0
    for place in range(per_rank):
        batch = _next_batch(batches, progress.step, engine.device)
        n_tokens += batch.text_BT.numel()
        torch.manual_seed(batch_seed(seed, progress.step, place * dist.get_world_size() + dist.get_rank()))
        for loss in objective.losses(engine, batch):
            engine.backward(loss.mean * (loss.weight / per_rank), scale_wrt_gas=False)  # the engine averages over ranks
            tally.add_loss(loss.mean, loss.weight / per_rank)
            for curve in loss.curves or (loss,):
                tally.add_curve(curve)
    (learning_rate,) = engine.get_lr()[:1]
    engine.step()
    loss, curves, n_tokens = tally.over_ranks(n_tokens)
    return replace(
        progress,
        step=progress.step + 1,
        loss=loss,
        curves=curves,
        learning_rate=learning_rate,
        gradient_norm=float(engine.get_global_grad_norm()),
        tokens=progress.tokens + n_tokens,
    )


def batch_seed(seed: int, step: int, number: int) -> int:
    """Seed of everything random in batch `number` of a step. The number counts over all ranks, so their number changes nothing."""
    return int(digest([seed, step, number], 12), 16)


class Tally:
    """Losses of one step, summed on the device: reading a number there would stop it at every loss."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._loss = torch.zeros((), device=device)
        self._sums: dict[str, tuple[torch.Tensor, int]] = {}

    def add_loss(self, mean: torch.Tensor, share: float) -> None:
        """Note a loss that was back-propagated with this share."""
        self._loss += mean.detach() * share

    def add_curve(self, curve: Curve) -> None:
        """Note a mean over tokens."""
        total, n_tokens = self._sums.get(curve.name, (0, 0))
        self._sums[curve.name] = (total + curve.mean.detach() * curve.n_tokens, n_tokens + curve.n_tokens)

    def over_ranks(self, n_text: int) -> tuple[float, dict[str, float], int]:
        """Mean loss, mean of each curve, and tokens of text, over all ranks."""
        names: list[list[str] | None] = [None] * dist.get_world_size()
        dist.all_gather_object(names, sorted(self._sums))
        every = sorted(set().union(*names))
        mine = [(float(total), n_tokens) for total, n_tokens in (self._sums.get(name, (0, 0)) for name in every)]
        loss, n_text, *sums = sum_over_ranks([float(self._loss), n_text, *(number for pair in mine for number in pair)], self._device)
        curves = {name: total / n_tokens for name, total, n_tokens in zip(every, sums[::2], sums[1::2], strict=True)}
        return loss / dist.get_world_size(), curves, int(n_text)


def save_checkpoint(engine: DeepSpeedEngine, folder: Path, progress: Progress, recipe: EncoderTrainingConfig, source: BatchSource) -> None:
    """Write this rank's part of a checkpoint."""
    torch.save(source.state_dict(), folder / SOURCE_FILE.format(rank=dist.get_rank()))
    save_run(engine, folder, {"progress": asdict(progress), **_identity(recipe)})


def load_checkpoint(engine: DeepSpeedEngine, folder: Path, recipe: EncoderTrainingConfig, source: BatchSource) -> Progress:
    """Restore engine, source, and progress."""
    run = load_run(engine, folder, _identity(recipe))
    path = folder / SOURCE_FILE.format(rank=dist.get_rank())
    try:
        source.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}; start the run under a new name") from error
    return Progress(**run["progress"])


def _identity(recipe: EncoderTrainingConfig) -> dict[str, Any]:
    """What a resumed run must not change."""
    return {"recipe": recipe.model_dump(mode="json", exclude={"checkpoint_steps"}), "workers": dist.get_world_size()}


def _next_batch(batches: Iterator[Batch], step: int, device: torch.device) -> Batch:
    try:
        batch = next(batches)
    except StopIteration:
        raise ConfigurationError(f"the source of batches ended in step {step + 1}; give it more text or lower steps") from None
    return replace(batch, text_BT=batch.text_BT.to(device, non_blocking=True))
