"""Checking an adapter folder before it is published: what vLLM, SGLang, and Ray Serve would refuse or misread.

Contract: PEFT layout, plain LoRA, rank up to 16, explicit attention targets, every tensor whole and finite.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lloco_core.errors import RegistryError

MAX_RANK = 16
"""The default `--max-lora-rank` of vLLM."""

FILES = ("adapter_config.json", "adapter_model.safetensors")

_KEY = re.compile(r"base_model\.model\.model\.layers\.\d+\.self_attn\.[qkvo]_proj\.lora_(A|B)\.weight")


def validate_adapter(folder: Path) -> None:
    """Check files, configuration, and tensors of an adapter.

    Raises:
        RegistryError: naming the file, the value found, and what is expected.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise RegistryError(f"{folder}: {name} is missing; the training run did not save a whole adapter")
    config = _read_config(folder / "adapter_config.json")
    expected = {"peft_type": "LORA", "bias": "none", "use_dora": False}
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise RegistryError(f"{folder}: adapter_config.json has {key}={config[key]!r}, servers accept {value!r} only")
    targets = config.get("target_modules")
    if not isinstance(targets, list) or {"embed_tokens", "lm_head"} & set(targets):
        raise RegistryError(f"{folder}: target_modules is {targets!r}; give an explicit list of attention projections")
    if not isinstance(config.get("r"), int) or not 1 <= config["r"] <= MAX_RANK:
        raise RegistryError(f"{folder}: rank {config.get('r')} is outside 1..{MAX_RANK}")
    _check_tensors(folder / "adapter_model.safetensors", config["r"])


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise RegistryError(f"{path} is not JSON: {error}; save the adapter again") from error
    if not isinstance(config, dict):
        raise RegistryError(f"{path} holds a {type(config).__name__}, expected an object; save the adapter again")
    return config


def _check_tensors(path: Path, rank: int) -> None:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        weights = safe_open(path, "pt")
    except SafetensorError as error:
        raise RegistryError(f"{path} is damaged: {error}; save the adapter again") from error
    with weights as file:
        keys = list(file.keys())
        if not keys:
            raise RegistryError(f"{path} holds no tensors")
        for key in keys:
            match = _KEY.fullmatch(key)
            tensor = file.get_tensor(key)
            if not match:
                raise RegistryError(f"{path}: unexpected key {key}; expected LoRA weights of q, k, v, and o projections")
            if tensor.ndim != 2 or tensor.shape[0 if match[1] == "A" else 1] != rank or 0 in tensor.shape:
                raise RegistryError(
                    f"{path}: {key} has shape {tuple(tensor.shape)}, which does not fit rank {rank}; was it gathered under ZeRO-3?"
                )
            if not torch.isfinite(tensor).all():
                raise RegistryError(f"{path}: {key} has values that are not finite; lower the learning rate")
