"""A DeepSpeed engine around torch's own optimizer and schedule, and the ranks it runs on.

Nothing is compiled at run time: DeepSpeed's own Adam and its shared-memory communication would build C++ for minutes on
first use, so torch's optimizer is passed in and the latter is switched off. Called by the loops.
"""

from __future__ import annotations

import os
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepspeed import DeepSpeedEngine
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

GRADIENT_CLIPPING = 1.0
PERSISTENCE_THRESHOLD = 100_000
"""ZeRO-3 keeps smaller tensors whole on every rank (DeepSpeed's default). Tests set 0 so that everything is partitioned."""


def join_process_group(device: torch.device) -> None:
    """Join the launcher's process group, or form a group of one where there is no launcher (a notebook, a test)."""
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed refuses to start without it
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        if "RANK" in os.environ:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, rank=0, world_size=1, store=dist.HashStore())


def is_first_rank() -> bool:
    """Whether this process writes for all."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wrap_model(
    model: torch.nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
    *,
    zero_stage: int,
    bf16: bool,
    config: dict[str, Any],
    reduce_scatter: bool = True,
) -> DeepSpeedEngine:
    """Put a model and the optimizer of its trainable parameters under ZeRO. The process group must exist.

    Args:
        config: what else DeepSpeed is to know, batch sizes and accumulation above all.
        reduce_scatter: a worker receives the gradients of its own share only.
    """
    deepspeed = _deepspeed()
    shared = {
        "gradient_clipping": GRADIENT_CLIPPING,
        "zero_optimization": {
            "stage": zero_stage,
            "stage3_param_persistence_threshold": PERSISTENCE_THRESHOLD,
            "reduce_scatter": reduce_scatter,
        },
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": bf16},
        "steps_per_print": 2**62,
        "timers": {"throughput": {"enabled": False}},  # it waits for the GPU before every forward pass
    }
    engine, _, _, _ = deepspeed.initialize(
        model=model,
        optimizer=optimizer,
        model_parameters=[parameter for parameter in model.parameters() if parameter.requires_grad],
        lr_scheduler=schedule,
        config=shared | config,
    )
    return engine


def sum_over_ranks(values: Sequence[float], device: torch.device) -> list[float]:
    """Sum numbers over all ranks."""
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.tolist()


def gathered(parameters: Sequence[torch.nn.Parameter]) -> Any:
    """Make ZeRO-3's partitioned parameters whole inside the block, on every rank; nothing to do for others."""
    if not any(is_partitioned(parameter) for parameter in parameters):
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(list(parameters), modifier_rank=None)


def is_partitioned(parameter: torch.nn.Parameter) -> bool:
    """Whether ZeRO-3 has taken the parameter over."""
    return hasattr(parameter, "ds_id")


def _deepspeed() -> Any:
    # torch 2.13 warns once per collective that DeepSpeed still uses the old names
    warnings.filterwarnings("ignore", category=FutureWarning, message=".*(all_gather_into_tensor|reduce_scatter_tensor|_all_gather_base).*")
    import deepspeed

    compatible = getattr(deepspeed.ops, "__compatible_ops__", None)  # private: absent in other versions
    if isinstance(compatible, dict):
        compatible["deepspeed_shm_comm"] = False
    return deepspeed
