"""A tiny adapter, trained by nobody but saved like a real one."""

from __future__ import annotations

from pathlib import Path

import torch

from lloco_core.config import FinetuneConfig
from lloco_core.finetune.lora import attach_lora, save_adapter
from tests.tiny_models import random_lm


def save_tiny_adapter(folder: Path, recipe: FinetuneConfig, seed: int = 0) -> Path:
    shape = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    model = attach_lora(random_lm("llama", seed, **shape, num_hidden_layers=1), recipe)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    save_adapter(model, folder, "base")
    return folder
