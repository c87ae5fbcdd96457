"""Encoder training with Muon, one rank in this process: its steps are those of torch.optim.Muon on the gradient of the whole step.

More ranks: tests/contract/test_encoder_ranks.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tiny_encoder import CountedSource, objective_config, random_batch, recipe, tiny_module
from torch import nn
from torch._dynamo.utils import counters

from lloco_core.encoder_training.autocompressor import AutoCompressorObjective
from lloco_core.encoder_training.loop import Progress, batch_seed, train_encoder
from lloco_core.encoder_training.module import AutoCompressorModule
from lloco_core.encoder_training.recipe import EncoderTrainingConfig
from lloco_core.encoder_training.run import EncoderRunConfig
from lloco_core.errors import ConfigurationError
from lloco_core.training import engine
from lloco_core.training.engine import gathered

STEPS = 4
RATES = (0.0, 1.0, 2 / 3, 1 / 3)
"""Of the peaks: one step of warm-up."""


def muon(**changes: Any) -> EncoderTrainingConfig:
    rates = {"learning_rate": 0.01, "muon_learning_rate": 0.02, "weight_decay": 0.1, "warmup_steps": 1}
    return recipe(**{"steps": STEPS, "gradient_clipping": None} | rates | changes)


def train(module: AutoCompressorModule, steps: EncoderTrainingConfig, folder: Path | None = None, **options: Any) -> list[Progress]:
    kept = []

    def keep(progress: Progress, part: Path | None) -> None:
        if part is None:
            kept.append(progress)
        elif folder:
            shutil.copytree(part, folder / f"checkpoint-{progress.step}")

    train_encoder(module, AutoCompressorObjective(objective_config()), CountedSource(), steps, report=keep, **options)
    return kept


def train_by_hand(places: Sequence[int] = (0, 1)) -> AutoCompressorModule:
    """The same run with torch alone, on so many of the two batches of every step."""
    module, objective = tiny_module(), AutoCompressorObjective(objective_config())
    matrices = [weight for weight in module.model.layers.parameters() if weight.ndim == 2]
    embeddings = [module.model.embed_tokens.weight, module.embed_summary.weight]
    norms = [weight for weight in module.parameters() if weight.ndim == 1]
    groups = [{"params": embeddings, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    optimizers = [torch.optim.Muon(matrices, lr=0.0, weight_decay=0.1), torch.optim.AdamW(groups, lr=0.0)]
    for step, rate in enumerate(RATES):
        for place in places:
            torch.manual_seed(batch_seed(0, step, place))
            for loss in objective.losses(module, random_batch(2 * step + place)):
                (loss.mean * loss.weight / len(places)).backward()
        for optimizer, peak in zip(optimizers, (0.02, 0.01), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * rate
            optimizer.step()
            optimizer.zero_grad()
    return module


@pytest.fixture(scope="module")
def by_hand() -> AutoCompressorModule:
    return train_by_hand()


def distance(found: nn.Module, expected: nn.Module) -> dict[str, float]:
    """By parameter: how far apart two trained modules are, over how far the second has come."""
    start, other = dict(tiny_module().named_parameters()), dict(expected.named_parameters())
    with torch.no_grad(), gathered(list(found.parameters())):
        return {
            name: float((weight.float() - other[name]).norm() / (other[name] - start[name]).norm())
            for name, weight in found.named_parameters()
        }


@pytest.mark.parametrize("stage", [2, 3])
def test_steps_are_those_of_torch_muon(stage: int, by_hand: AutoCompressorModule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches a step, each of several backward passes, rates and weight decay included. Muon rounds to bfloat16 in between."""
    monkeypatch.setattr(engine, "PERSISTENCE_THRESHOLD", 0)
    torch._dynamo.reset()
    counters.clear()
    trained = tiny_module()
    curve = train(trained, muon(zero_stage=stage))
    assert not counters["stats"], "a step compiled something, on a CPU with a C++ compiler that may not be there"
    for name, value in distance(trained, by_hand).items():
        assert value < (0.1 if name.endswith("_proj.weight") else 0.005), name
    assert [step.learning_rate for step in curve] == pytest.approx([0.01 * rate for rate in RATES])


def test_a_gradient_of_less_than_the_step_would_be_seen(by_hand: AutoCompressorModule) -> None:
    for place in (0, 1):
        assert min(distance(train_by_hand([place]), by_hand).values()) > 0.4


@pytest.mark.parametrize("stage", [2, 3])
def test_bfloat16_weights_take_the_same_steps(stage: int, by_hand: AutoCompressorModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PERSISTENCE_THRESHOLD", 0)
    trained = tiny_module().to(torch.bfloat16)
    train(trained, muon(zero_stage=stage, dtype="bfloat16"))
    assert max(distance(trained, by_hand).values()) < 0.25


@pytest.mark.parametrize(("stage", "dtype"), [(2, "float32"), (2, "bfloat16"), (3, "float32")])
def test_a_resumed_run_has_its_momentum(stage: int, dtype: str, tmp_path: Path) -> None:
    steps = muon(zero_stage=stage, dtype=dtype, checkpoint_steps=2)
    straight, resumed = (tiny_module().to(getattr(torch, dtype)) for _ in range(2))
    whole = train(straight, steps, tmp_path)
    rest = train(resumed, steps, resume_from=tmp_path / "checkpoint-2")
    assert [replace(step, seconds=0) for step in rest] == [replace(step, seconds=0) for step in whole[2:]]
    with gathered([*straight.parameters(), *resumed.parameters()]):
        assert all(torch.equal(weight, resumed.get_parameter(name)) for name, weight in straight.named_parameters())


def test_clipping_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"gradient_clipping 1 would shrink Muon's steps.*set it to null"):
        muon(gradient_clipping=1.0)


def test_adapters_are_refused() -> None:
    run = {"start": "reference", "output": "encoder", "text": {"files": ["text"], "cache": "cache"}, "training": muon()}
    for changes in ({}, {"lora": None, "kind": "icae"}):
        with pytest.raises(ValidationError, match="muon_learning_rate is for whole matrices"):
            EncoderRunConfig(**run | changes)
    assert EncoderRunConfig(**run | {"lora": None}).training.muon_learning_rate == 0.02


def test_frozen_layers_are_refused() -> None:
    module = tiny_module().requires_grad_(False)
    module.embed_summary.requires_grad_(True)
    with pytest.raises(ConfigurationError, match=r"muon_learning_rate 0.02, but no matrix"):
        train(module, muon())
