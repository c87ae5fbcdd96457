"""A DeepSpeed engine from an adapter's recipe: bf16 on a GPU, fp32 on a CPU. Called by the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lloco_core.training.engine import wrap_model

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

    from lloco_core.config import FinetuneConfig
    from lloco_core.finetune.order import RowOrder


def build_engine(model: torch.nn.Module, recipe: FinetuneConfig, order: RowOrder, device: torch.device) -> DeepSpeedEngine:
    """Wrap the model; its trainable parameters are those that require a gradient. The process group must exist."""
    from transformers import get_cosine_schedule_with_warmup

    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=recipe.learning_rate, weight_decay=0.0)
    warmup_steps = int(recipe.warmup_ratio * order.total_steps)  # rounded down: a short run loses no step to a rate of 0
    return wrap_model(
        model,
        optimizer,
        get_cosine_schedule_with_warmup(optimizer, warmup_steps, order.total_steps),
        zero_stage=recipe.zero_stage,
        bf16=device.type == "cuda",
        config={
            "train_batch_size": recipe.global_batch,
            "train_micro_batch_size_per_gpu": order.micro_batch,
            "gradient_accumulation_steps": order.accumulation,
        },
    )
