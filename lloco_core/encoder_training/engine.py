"""A DeepSpeed engine from a recipe of encoder training. Called by the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from lloco_core.encoder_training.compiling import compile_layers
from lloco_core.encoder_training.optimizer import build_optimizer
from lloco_core.training.engine import wrap_model

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine
    from torch import nn

    from lloco_core.encoder_training.recipe import EncoderTrainingConfig


def build_engine(model: nn.Module, recipe: EncoderTrainingConfig, device: torch.device) -> DeepSpeedEngine:
    """Wrap the model; its trainable parameters are those that require a gradient. The process group must exist.

    The engine sums gradients of as many backward passes as it is given until its `step` is called: in float32, but under ZeRO-2
    Muon's in the dtype of the weights.
    """
    from transformers import get_linear_schedule_with_warmup

    if recipe.compiles_on(device.type):
        compile_layers(model)
    optimizer = build_optimizer(model, recipe)
    has_muon = recipe.muon_learning_rate is not None
    bf16 = training_dtype(recipe, device) == torch.bfloat16
    engine = wrap_model(
        model if bf16 else model.float(),
        optimizer,
        get_linear_schedule_with_warmup(optimizer, recipe.warmup_steps, recipe.steps),
        zero_stage=recipe.zero_stage,
        bf16=bf16,
        reduce_scatter=not has_muon,  # ZeRO-3 refuses Muon with it
        config={
            "train_micro_batch_size_per_gpu": 1,  # for its own counters only, as is the next
            "train_batch_size": dist.get_world_size(),
            "managed_gradient_accumulation": False,
            "data_types": {"grad_accum_dtype": "fp32"},
            "gradient_clipping": recipe.gradient_clipping or 0.0,
        },
    )
    if has_muon and not recipe.compiles_on(device.type):
        engine.step = torch.compiler.set_stance("force_eager")(engine.step)  # else Muon is compiled, with a C++ compiler on a CPU
    return engine


def training_dtype(recipe: EncoderTrainingConfig, device: torch.device) -> torch.dtype:
    """Number format of weights and activations."""
    bf16 = recipe.dtype == "bfloat16" or (recipe.dtype == "auto" and device.type == "cuda")
    return torch.bfloat16 if bf16 else torch.float32
