"""A DeepSpeed engine from a recipe of encoder training. Called by the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from lloco_core.encoder_training.compiling import compile_layers
from lloco_core.training.engine import wrap_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepspeed import DeepSpeedEngine
    from torch import nn

    from lloco_core.encoder_training.recipe import EncoderTrainingConfig


def build_engine(model: nn.Module, recipe: EncoderTrainingConfig, device: torch.device) -> DeepSpeedEngine:
    """Wrap the model; its trainable parameters are those that require a gradient. The process group must exist.

    The engine sums gradients of as many backward passes as it is given, in float32, until its `step` is called.
    """
    from transformers import get_linear_schedule_with_warmup

    if recipe.compiles_on(device.type):
        compile_layers(model)
    groups = _parameter_groups(model.named_parameters(), recipe.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)
    bf16 = training_dtype(recipe, device) == torch.bfloat16
    return wrap_model(
        model if bf16 else model.float(),
        optimizer,
        get_linear_schedule_with_warmup(optimizer, recipe.warmup_steps, recipe.steps),
        zero_stage=recipe.zero_stage,
        bf16=bf16,
        config={
            "train_micro_batch_size_per_gpu": 1,  # for its own counters only, as is the next
            "train_batch_size": dist.get_world_size(),
            "managed_gradient_accumulation": False,
            "data_types": {"grad_accum_dtype": "fp32"},
            "gradient_clipping": recipe.gradient_clipping,
        },
    )


def training_dtype(recipe: EncoderTrainingConfig, device: torch.device) -> torch.dtype:
    """Number format of weights and activations."""
    bf16 = recipe.dtype == "bfloat16" or (recipe.dtype == "auto" and device.type == "cuda")
    return torch.bfloat16 if bf16 else torch.float32


def _parameter_groups(parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float) -> list[dict[str, object]]:
    """Matrices with weight decay, norms and biases without."""
    trained = [parameter for _, parameter in parameters if parameter.requires_grad]
    if not weight_decay:
        return [{"params": trained, "weight_decay": 0.0}]
    matrices, others = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}] + ([{"params": others, "weight_decay": 0.0}] if others else [])
