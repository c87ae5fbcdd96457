"""A DeepSpeed engine from a recipe: ZeRO-2 or ZeRO-3 around torch's AdamW, bf16 on a GPU, fp32 on a CPU.

Nothing is compiled at run time: DeepSpeed's own Adam and its shared-memory communication would build C++ for minutes on
first use, so torch's optimizer is passed in and the latter is switched off. Called by the loop.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

    from lloco_core.config import FinetuneConfig
    from lloco_core.finetune.order import RowOrder

GRADIENT_CLIPPING = 1.0
PERSISTENCE_THRESHOLD = 100_000
"""ZeRO-3 keeps smaller tensors whole on every rank (DeepSpeed's default). Tests set 0 so that LoRA is partitioned too."""


def join_process_group(device: torch.device) -> None:
    """Join the launcher's process group, or form a group of one where there is no launcher (a notebook, a test)."""
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed refuses to start without it
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        if "RANK" in os.environ:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, rank=0, world_size=1, store=dist.HashStore())


def build_engine(model: torch.nn.Module, recipe: FinetuneConfig, order: RowOrder, device: torch.device) -> DeepSpeedEngine:
    """Wrap the model; its trainable parameters are those that require a gradient. The process group must exist."""
    deepspeed = _deepspeed()
    from transformers import get_cosine_schedule_with_warmup

    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=recipe.learning_rate, weight_decay=0.0)
    warmup_steps = int(recipe.warmup_ratio * order.total_steps)  # rounded down: a short run loses no step to a rate of 0
    engine, _, _, _ = deepspeed.initialize(
        model=model,
        optimizer=optimizer,
        model_parameters=trainable,
        lr_scheduler=get_cosine_schedule_with_warmup(optimizer, warmup_steps, order.total_steps),
        config=engine_config(recipe, order, device),
    )
    return engine


def engine_config(recipe: FinetuneConfig, order: RowOrder, device: torch.device) -> dict[str, Any]:
    """DeepSpeed's configuration for this recipe."""
    return {
        "train_batch_size": recipe.global_batch,
        "train_micro_batch_size_per_gpu": order.micro_batch,
        "gradient_accumulation_steps": order.accumulation,
        "gradient_clipping": GRADIENT_CLIPPING,
        "zero_optimization": {"stage": recipe.zero_stage, "stage3_param_persistence_threshold": PERSISTENCE_THRESHOLD},
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": device.type == "cuda"},
        "steps_per_print": 2**62,
    }


def _deepspeed() -> Any:
    # torch 2.13 warns once per collective that DeepSpeed still uses the old names
    warnings.filterwarnings("ignore", category=FutureWarning, message=".*(all_gather_into_tensor|reduce_scatter_tensor|_all_gather_base).*")
    import deepspeed

    compatible = getattr(deepspeed.ops, "__compatible_ops__", None)  # private: absent in other versions
    if isinstance(compatible, dict):
        compatible["deepspeed_shm_comm"] = False
    return deepspeed
