"""LoRA on the projections of a frozen model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, get_peft_model

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

TARGET_MODULES = ("k_proj", "o_proj", "q_proj", "v_proj")
"""Never the embeddings: servers refuse an adapter that changes them beside prompt embeddings."""


MLP_MODULES = ("down_proj", "gate_proj", "up_proj")


def add_lora(
    model: PreTrainedModel, *, r: int, alpha: int, dropout: float, seed: int, modules: tuple[str, ...] = TARGET_MODULES
) -> PeftModel:
    """Freeze the model and add LoRA, initialised from the seed. The model is changed in place."""
    model.requires_grad_(False)
    config = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(modules), bias="none", task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)
