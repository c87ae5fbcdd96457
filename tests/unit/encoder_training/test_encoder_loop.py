"""The training loop with one rank in this process: what a step is, resume, and that training learns what can be learnt.

More ranks and ZeRO-3: tests/contract/test_encoder_ranks.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_encoder import VOCABULARY, CountedSource, objective_config, random_batch, recipe, tiny_model, tiny_module, tokens

from lloco_core.encoder_training.autocompressor import AutoCompressorObjective
from lloco_core.encoder_training.batch import Answer, Batch
from lloco_core.encoder_training.loop import Progress, batch_seed, train_encoder
from lloco_core.encoder_training.module import AutoCompressorModule
from lloco_core.encoder_training.recipe import AutoCompressorConfig, EncoderTrainingConfig
from lloco_core.encoder_training.segments import cut_row
from lloco_core.errors import CheckpointError, ConfigurationError
from lloco_core.training.lora import add_lora

CURVE = ("step", "loss", "curves", "learning_rate", "gradient_norm", "tokens")


class Kept:
    """A report callback that keeps everything."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder, self.steps = folder, []

    def __call__(self, progress: Progress, part: Path | None) -> None:
        if part is None:
            self.steps.append(progress)
        elif self.folder:
            shutil.copytree(part, self.folder / f"checkpoint-{progress.step}")

    @property
    def curve(self) -> list[tuple[Any, ...]]:
        return [tuple(getattr(step, name) for name in CURVE) for step in self.steps]


def module_with_dropout() -> AutoCompressorModule:
    """Everything random at once: dropout in LoRA, break points, answers now and then."""
    model = tiny_model()
    add_lora(model, r=4, alpha=8, dropout=0.2, seed=0)
    return AutoCompressorModule(model, tiny_module().embed_summary.weight.detach().clone())


def train(module: AutoCompressorModule, config: AutoCompressorConfig, steps: EncoderTrainingConfig, **options: Any) -> Kept:
    kept = options.pop("kept", None) or Kept()
    train_encoder(module, AutoCompressorObjective(config), options.pop("source", None) or CountedSource(), steps, report=kept, **options)
    return kept


def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepSpeed's timers would, before every forward pass from the third step on."""
    from deepspeed.accelerator import get_accelerator

    waits: list[None] = []
    monkeypatch.setattr(type(get_accelerator()), "synchronize", lambda *_: waits.append(None))
    train(tiny_module(), objective_config(), recipe(steps=4))
    assert not waits


def test_a_step_is_adamw_on_the_mean_over_batches() -> None:
    """Two steps of two batches, written out with torch alone: clipping, warm-up, and decay included."""
    steps = recipe(steps=4, warmup_steps=1, batches_per_step=2, gradient_clipping=0.5, learning_rate=0.02)
    trained = tiny_module()
    kept = train(trained, objective_config(), steps)
    by_hand, objective = tiny_module(), AutoCompressorObjective(objective_config())
    optimizer = torch.optim.AdamW(by_hand.parameters(), lr=0.0, weight_decay=0.0)
    for step, rate in enumerate([0.0, 0.02, 0.02 * 2 / 3, 0.02 / 3]):
        total = torch.zeros(())
        for number in range(2):
            torch.manual_seed(batch_seed(0, step, number))
            total = total + sum(loss.mean * loss.weight for loss in objective.losses(by_hand, random_batch(2 * step + number))) / 2
        optimizer.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        assert norm > 0.5, "nothing was clipped"
        assert kept.steps[step].loss == pytest.approx(total.item(), rel=1e-5)
        assert kept.steps[step].learning_rate == pytest.approx(rate)
        assert kept.steps[step].gradient_norm == pytest.approx(norm.item(), rel=1e-4)
    for name, parameter in by_hand.named_parameters():
        torch.testing.assert_close(trained.get_parameter(name).detach(), parameter.detach(), atol=2e-5, rtol=1e-4)
    assert [step.tokens for step in kept.steps] == [96, 192, 288, 384]
    assert set(kept.steps[0].curves) == {"lm", "answer"}


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, stop: int) -> None:
    steps = recipe(steps=5, warmup_steps=2, checkpoint_steps=stop)
    straight = module_with_dropout()
    whole = train(straight, objective_config(), steps, kept=Kept(tmp_path))
    resumed = module_with_dropout()
    torch.manual_seed(12345)
    source = CountedSource()
    rest = train(resumed, objective_config(), steps, source=source, resume_from=tmp_path / f"checkpoint-{stop}")
    assert rest.curve == whole.curve[stop:]
    assert source.next == 10
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in straight.state_dict().items())
    assert rest.steps[-1].seconds > whole.steps[stop - 1].seconds


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(tiny_module(), objective_config(), recipe(steps=2, checkpoint_steps=1), kept=Kept(tmp_path))
    checkpoint = tmp_path / "checkpoint-1"
    with pytest.raises(CheckpointError, match=r"belongs to .*'learning_rate': 0.003"):
        train(tiny_module(), objective_config(), recipe(steps=2, learning_rate=0.1), resume_from=checkpoint)
    (checkpoint / "source-0.pt").unlink()
    with pytest.raises(CheckpointError, match=r"source-0.pt: No such file.*new name"):
        train(tiny_module(), objective_config(), recipe(steps=2), resume_from=checkpoint)


def test_a_source_that_ends_is_named() -> None:
    class Short(CountedSource):
        def __iter__(self):
            return iter([random_batch(0), random_batch(1), random_batch(2)])

    with pytest.raises(ConfigurationError, match="ended in step 2"):
        train(tiny_module(), objective_config(), recipe(steps=3), source=Short())


def test_break_points_differ_from_batch_to_batch() -> None:
    drawn = set()
    for number in range(20):
        torch.manual_seed(batch_seed(0, number // 2, number % 2))
        drawn.add(str(cut_row(6144, objective_config())))
    assert len(drawn) == 20


def mean_of_last(kept: Kept, curve: str, count: int = 10) -> float:
    return sum(step.curves[curve] for step in kept.steps[-count:]) / count


def test_repeated_text_is_learnt_and_random_text_is_not() -> None:
    steps = recipe(steps=25, batches_per_step=1, learning_rate=1e-2)
    config = objective_config(plain_share=0.1)
    repeated = train(tiny_module(), config, steps, source=CountedSource(lambda _: random_batch(0)))
    fresh = train(tiny_module(), config, steps, source=CountedSource(lambda number: Batch(tokens(2, 24, seed=number), [])))
    for curve in ("lm", "plain"):
        assert mean_of_last(repeated, curve, 3) < 0.6 * repeated.steps[0].curves[curve]
        assert mean_of_last(fresh, curve, 3) > 0.9 * fresh.steps[0].curves[curve]


KEYS = 4


def recall(shuffled: bool) -> Callable[[int], Batch]:
    """Rows that begin with one of four tokens; the answer, after everything was compressed, is that token or another row's."""

    def batch(number: int) -> Batch:
        text = tokens(16, 6, seed=number) % 8 + 20
        keys = torch.randint(3, 3 + KEYS, (16,), generator=torch.Generator().manual_seed(number))
        text[:, 0] = keys
        told = keys[torch.randperm(16, generator=torch.Generator().manual_seed(number))] if shuffled else keys
        return Batch(text, [Answer(row, 6, torch.tensor([VOCABULARY - 1]), told[row, None]) for row in range(16)])

    return batch


def test_answers_are_read_from_the_vectors() -> None:
    """Shuffled answers cannot be, nor any from a frozen decoder: their loss stays at the entropy of four tokens, log 4 = 1.39."""
    steps = recipe(steps=100, batches_per_step=1, learning_rate=1e-2)
    config = objective_config(answer_weight=4.0)
    true, shuffled = (train(tiny_module(), config, steps, source=CountedSource(recall(flag))) for flag in (False, True))
    frozen = tiny_module()
    frozen.requires_grad_(False).embed_summary.requires_grad_(True)
    alone = train(frozen, config, steps, source=CountedSource(recall(False)))
    assert mean_of_last(alone, "answer") > 1.3
    assert mean_of_last(shuffled, "answer") > 1.3
    assert mean_of_last(true, "answer") < 0.7
