"""The ICAE module under DeepSpeed: its base model is not registered, and ZeRO must find every weight all the same."""

from __future__ import annotations

import os

import pytest
import torch
import torch.distributed as dist

from lloco_core.compressor.icae_checkpoint import MEMORY_KEY
from lloco_core.encoder_training.batch import Batch
from lloco_core.encoder_training.icae import IcaeObjective, IcaeObjectiveConfig
from lloco_core.encoder_training.icae_module import IcaeModule, published_tensors
from tests.unit.compressor.tiny_checkpoints import HIDDEN, document, random_model

MEMORY, STEPS = 3, 3
OBJECTIVE = IcaeObjective(IcaeObjectiveConfig(end_token=2, segment_length=20))
N_LOSSES = 3


def module() -> IcaeModule:
    return IcaeModule(random_model("llama_tied", attn_implementation="sdpa"), MEMORY, rank=4, alpha=8, segment_checkpointing=True)


def batch(step: int) -> Batch:
    return Batch(torch.tensor([document(60, 10 * step + row) for row in range(2)]), [])


def optimizer_of(model: IcaeModule) -> torch.optim.Optimizer:
    return torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.5)


def plain_run() -> tuple[list[float], dict[str, torch.Tensor]]:
    model = module()
    optimizer, curve = optimizer_of(model), []
    for step in range(STEPS):
        losses = [(loss.mean * loss.weight) for loss in _backward(OBJECTIVE.losses(model, batch(step)))]
        curve.append(sum(loss.item() for loss in losses))
        optimizer.step()
        optimizer.zero_grad()
    return curve, published_tensors(model)


def _backward(losses):
    for loss in losses:
        (loss.mean * loss.weight).backward()
        yield loss


@pytest.mark.real
@pytest.mark.parametrize("stage", [2, 3])
def test_zero_equals_plain_training(stage: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    monkeypatch.setitem(deepspeed.ops.__compatible_ops__, "deepspeed_shm_comm", False)  # else it is compiled now
    if not dist.is_initialized():
        dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    model = module()
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=optimizer_of(model),
        config={
            "train_batch_size": N_LOSSES,
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": N_LOSSES,
            "gradient_clipping": 0.0,
            "zero_optimization": {"stage": stage, "stage3_param_persistence_threshold": 0},
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 2**62,
        },
    )
    curve = []
    for step in range(STEPS):
        total = 0.0
        for loss in OBJECTIVE.losses(engine, batch(step)):
            engine.backward(loss.mean * loss.weight * N_LOSSES)  # DeepSpeed divides by the accumulation steps
            engine.step()
            total += loss.mean.item() * loss.weight
        curve.append(total)
    right_curve, right = plain_run()
    assert curve == pytest.approx(right_curve, abs=1e-4)
    assert curve[-1] != pytest.approx(curve[0], abs=1e-2)
    assert len(model.memory_token_embed.weight) == (0 if stage == 3 else MEMORY + 3)
    with deepspeed.zero.GatheredParameters(list(model.parameters()), modifier_rank=None, enabled=stage == 3):
        found = published_tensors(model)
        assert found[MEMORY_KEY].shape == (MEMORY + 3, HIDDEN)
        assert all((found[key] - tensor).abs().max() < 1e-4 for key, tensor in right.items())
