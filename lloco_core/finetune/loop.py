"""The training loop of an adapter.

Every rank runs it. The state of a run is the engine's (LoRA weights, optimizer, schedule) and one `Progress`; row order
and dropout are functions of the step, so a run resumed from a checkpoint repeats the loss curve it would have had. The
loop hands progress and checkpoint folders to a callback and does not know who keeps them.
Legend: a step is one optimizer step over `global_batch` rows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from lloco_core.finetune.collate import collate
from lloco_core.finetune.engine import build_engine
from lloco_core.finetune.order import RowOrder, plan_order
from lloco_core.finetune.soft_prompt import SoftPromptModel
from lloco_core.training.checkpoint import load_run, save_run
from lloco_core.training.engine import join_process_group, sum_over_ranks

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine
    from peft import PeftModel

    from lloco_core.config import FinetuneConfig
    from lloco_core.finetune.collate import Batch
    from lloco_core.finetune.rows import Rows


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; the same on every rank, saved with every checkpoint."""

    step: int = 0
    """Optimizer steps done."""
    loss: float | None = None
    """Mean over the answer tokens of the last step."""
    first_loss: float | None = None
    holdout_before: float | None = None
    tokens: int = 0
    """Positions trained on, vectors included, padding not."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """What came of a run. Losses are means over answer tokens; the holdout's are None when nothing was held out."""

    steps: int
    first_loss: float
    last_loss: float
    holdout_before: float | None
    holdout_after: float | None
    tokens: int
    seconds: float
    """Training and evaluation time, summed over resumed attempts up to their last checkpoint."""


Report = Callable[[Progress, Path | None], None]
"""Called on every rank after every step. With a folder it is a checkpoint: each rank's folder holds its own part, the
parts merge into one, and the folder is deleted when the call returns."""


def finetune(
    model: PeftModel,
    rows: Rows,
    held_out: Rows,
    recipe: FinetuneConfig,
    *,
    report: Report,
    device: torch.device | str = "cpu",
    resume_from: Path | None = None,
) -> FinetuneResult:
    """Train the LoRA weights of `model` in place and return the losses.

    Args:
        resume_from: the merged parts of a checkpoint this run reported before.
    """
    device = torch.device(device)
    join_process_group(device)
    order = plan_order(recipe, len(rows), dist.get_world_size())
    engine = build_engine(SoftPromptModel(model.to(device)), recipe, order, device)
    clock = time.monotonic()
    if resume_from:
        progress = Progress(**load_run(engine, resume_from, {"order": asdict(order)})["progress"])
    else:
        progress = Progress(holdout_before=holdout_loss(engine, held_out, order))
    while progress.step < order.total_steps:
        progress = train_step(engine, rows, order, progress)
        progress = replace(progress, seconds=progress.seconds + time.monotonic() - clock)
        clock = time.monotonic()
        report(progress, None)
        if progress.step % recipe.checkpoint_steps == 0 and progress.step < order.total_steps:
            with tempfile.TemporaryDirectory(prefix="lloco-checkpoint-") as folder:
                save_run(engine, Path(folder), {"progress": asdict(progress), "order": asdict(order)})
                report(progress, Path(folder))
    holdout_after = holdout_loss(engine, held_out, order)
    return FinetuneResult(
        steps=progress.step,
        first_loss=progress.first_loss,
        last_loss=progress.loss,
        holdout_before=progress.holdout_before,
        holdout_after=holdout_after,
        tokens=progress.tokens,
        seconds=progress.seconds + time.monotonic() - clock,
    )


def train_step(engine: DeepSpeedEngine, rows: Rows, order: RowOrder, progress: Progress) -> Progress:
    """One optimizer step on the mean loss over all answer tokens of its rows, whatever rank and micro-batch they are in."""
    engine.train()
    torch.manual_seed(order.dropout_seed(progress.step, dist.get_rank()))
    batches = [_batch(rows, numbers).to(engine.device) for numbers in order.micro_batches(progress.step, dist.get_rank())]
    n_targets, n_positions = sum_over_ranks(
        [sum(b.n_targets for b in batches), sum(b.n_positions for b in batches if b.n_targets)], engine.device
    )
    # DeepSpeed divides by the accumulation steps and averages over ranks; undo both and divide by the targets
    scale = order.accumulation * order.world_size / n_targets
    summed_loss = 0.0
    for batch in batches:
        loss = engine(batch)
        engine.backward(loss * scale)
        engine.step()
        summed_loss += loss.item()
    loss = sum_over_ranks([summed_loss], engine.device)[0] / n_targets
    return replace(
        progress,
        step=progress.step + 1,
        loss=loss,
        first_loss=loss if progress.step == 0 else progress.first_loss,
        tokens=progress.tokens + int(n_positions),
    )


@torch.no_grad()
def holdout_loss(engine: DeepSpeedEngine, rows: Rows, order: RowOrder) -> float | None:
    """Mean loss over the answer tokens of all rows, without dropout; None when there are no rows."""
    if not len(rows):
        return None
    engine.eval()
    numbers = list(range(len(rows)))
    stride = order.micro_batch * order.world_size
    summed_loss, n_targets = 0.0, 0
    for start in range(0, len(rows), stride):
        batch = _batch(rows, numbers[start : start + stride][dist.get_rank() :: order.world_size]).to(engine.device)
        summed_loss += engine(batch).item()
        n_targets += batch.n_targets
    total_loss, total_targets = sum_over_ranks([summed_loss, n_targets], engine.device)
    return total_loss / total_targets


def _batch(rows: Rows, numbers: Sequence[int]) -> Batch:
    return collate([rows[number] for number in numbers]) if numbers else collate([rows[0]]).without_loss()
