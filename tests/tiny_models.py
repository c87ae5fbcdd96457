"""Random language models of a few layers, the same for the same seed, and the tokenizer of the reference checkpoint beside them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from lloco_core.compressor import locate_checkpoint

TWO_LAYERS = {"num_hidden_layers": 2, "bos_token_id": 1, "eos_token_id": 2}


def random_lm(family: str, seed: int, **config: Any) -> PreTrainedModel:
    """A causal language model of two layers: its `model_type` and whatever its configuration has besides."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **TWO_LAYERS | config))


def copy_tokenizer(folder: Path) -> None:
    """Put the reference tokenizer into a checkpoint's folder; the model needs its vocabulary of 8,192."""
    for path in locate_checkpoint("reference").glob("tokenizer*.json"):
        shutil.copyfile(path, folder / path.name)
