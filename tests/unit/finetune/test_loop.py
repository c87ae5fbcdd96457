"""One rank in this process. More ranks, ZeRO-3, and resume: tests/contract/test_deepspeed.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny

from lloco_core.errors import CheckpointError
from lloco_core.finetune.loop import Progress, finetune
from lloco_core.finetune.lora import attach_lora


def test_overfits_a_few_rows() -> None:
    recipe = tiny.recipe(epochs=20, learning_rate=0.03)
    result = finetune(attach_lora(tiny.tiny_model(), recipe), tiny.dataset(4), tiny.dataset(4), recipe, report=tiny.ignore)
    assert result.steps == 20
    assert result.holdout_before == pytest.approx(result.first_loss, abs=1e-5)
    assert result.holdout_after < 0.5 * result.holdout_before
    assert result.last_loss < 0.5 * result.first_loss
    assert result.tokens == 20 * sum(len(tiny.dataset(4)[index]) for index in range(4))
    assert result.seconds > 0


def test_batches_do_not_change_the_curve() -> None:
    curves = []
    for micro_batch in (1, 2, 4):
        recipe = tiny.recipe(micro_batch=micro_batch, epochs=2)
        progress: list[Progress] = []
        model = attach_lora(tiny.tiny_model(), recipe)
        finetune(model, tiny.dataset(9), tiny.dataset(0), recipe, report=lambda now, _, kept=progress: kept.append(now))
        curves.append([now.loss for now in progress])
    assert len(curves[0]) == 6
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    assert curves[0] == pytest.approx(curves[2], abs=1e-4)


def test_without_holdout_its_losses_are_none() -> None:
    recipe = tiny.recipe(max_steps=1)
    result = finetune(attach_lora(tiny.tiny_model(), recipe), tiny.dataset(4), tiny.dataset(0), recipe, report=tiny.ignore)
    assert (result.steps, result.holdout_before, result.holdout_after) == (1, None, None)


def test_checkpoint_of_other_rows_is_refused(tmp_path: Path) -> None:
    recipe = tiny.recipe(checkpoint_steps=1)

    def keep(progress: Progress, folder: Path | None) -> None:
        if folder and not (tmp_path / "kept").exists():
            shutil.copytree(folder, tmp_path / "kept")

    finetune(attach_lora(tiny.tiny_model(), recipe), tiny.dataset(8), tiny.dataset(0), recipe, report=keep)
    model = attach_lora(tiny.tiny_model(), recipe)
    with pytest.raises(CheckpointError, match="'n_rows': 8"):
        finetune(model, tiny.dataset(9), tiny.dataset(0), recipe, report=tiny.ignore, resume_from=tmp_path / "kept")
    with pytest.raises(CheckpointError, match="new name"):
        finetune(model, tiny.dataset(8), tiny.dataset(0), recipe, report=tiny.ignore, resume_from=tmp_path / "absent")
