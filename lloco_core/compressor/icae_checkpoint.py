"""The ICAE layout (Ge et al. 2023, arXiv 2307.06945, v2) on disk: a small config.json, one weight file, and a base model elsewhere.

The weight file is as published: `icae.base_model.model.model.layers.{i}.self_attn.{q,v}_proj.lora_{A,B}.default.weight` and
`memory_token_embed.weight` [k + 3, H], whose last three rows are the control tokens AE, LM, and FT. It names neither its base
model nor LoRA's alpha, so config.json beside it does.

Shape suffixes: H hidden size, R rank, I and O inputs and outputs of a projection, C memory and control tokens (k + 3).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lloco_core.compressor.checkpoint import checkpoint_digest, locate_checkpoint, read_tensors
from lloco_core.compressor.weight_files import named_by_convention, under_other_names
from lloco_core.errors import CheckpointError
from lloco_core.fingerprint import digest, file_digest

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

KIND_KEY = "lloco_encoder"
MEMORY_KEY = "memory_token_embed.weight"
LORA_KEY = "icae.base_model.model.model.layers.{layer}.self_attn.{projection}.lora_{part}.default.weight"
PROJECTIONS = ("q_proj", "v_proj")
CONTROL_TOKENS = ("AE", "LM", "FT")
"""Reconstruct, continue, answer: the rows of the memory embedding behind the memory tokens, in this order."""
PUBLISHED_SEGMENT_LENGTH = 512
WEIGHTS_NAME = "icae.safetensors"


class IcaeConfig(BaseModel):
    """What config.json of an ICAE folder says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lloco_encoder: Literal["icae"] = "icae"
    base_model: str
    """The frozen language model: a folder inside this one, another folder, or a hub name."""
    lora_alpha: float = Field(gt=0)
    memory_tokens: int = Field(ge=1)
    """Memory tokens of a segment (k), without the control tokens."""
    segment_length: int = Field(PUBLISHED_SEGMENT_LENGTH, ge=1)
    """Tokens of a segment at most."""
    weights: str | None = None
    """Name of the weight file, where the folder has several."""


class LoraPair(NamedTuple):
    """The adapter of one projection."""

    a_RI: torch.Tensor
    b_OR: torch.Tensor


class IcaeTensors(NamedTuple):
    """What a weight file holds."""

    lora: dict[tuple[int, str], LoraPair]
    """By layer and projection."""
    memory_CH: torch.Tensor


def is_icae(folder: Path) -> bool:
    """Whether a checkpoint folder is an ICAE, by its config.json.

    Raises:
        CheckpointError: the weights are of an ICAE, and config.json does not say so.
    """
    path = folder / "config.json"
    try:
        if KIND_KEY in json.loads(path.read_text()):
            return True
    except (OSError, ValueError, TypeError):
        pass  # whoever reads it as a language model's says what is wrong
    for file in [] if named_by_convention(folder) else under_other_names(folder):
        if _has_memory_tokens(file):
            example = (
                '{"lloco_encoder": "icae", "base_model": "mistralai/Mistral-7B-Instruct-v0.2", "lora_alpha": 32, "memory_tokens": 128}'
            )
            raise CheckpointError(
                f"{file} is of an ICAE, whose base model it does not name; write config.json beside it, such as {example}"
            )
    return False


def _has_memory_tokens(file: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            return MEMORY_KEY in tensors.keys()  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError):
        return False  # whoever loads it says what is wrong


def read_icae_config(folder: Path) -> IcaeConfig:
    """Read and check config.json of an ICAE folder."""
    path = folder / "config.json"
    try:
        return IcaeConfig.model_validate_json(path.read_text())
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise CheckpointError(f"{path} does not describe an ICAE: {found}") from error


def base_folder(folder: Path) -> Path:
    """The folder of an ICAE's base model, fetched from the hub where it is a hub name.

    Raises:
        CheckpointError: there is none.
    """
    name = read_icae_config(folder).base_model
    if (folder / name).is_dir():
        return folder / name
    try:
        return locate_checkpoint(name)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / 'config.json'}: base_model {name!r} cannot be found: {error}") from error


def weights_file(folder: Path) -> Path:
    """The weight file of an ICAE folder."""
    name = read_icae_config(folder).weights
    found = [folder / name] if name else under_other_names(folder)
    if len(found) != 1 or not found[0].is_file():
        names = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(f"{folder}: expected one weight file (*.safetensors), found {names}; name it as `weights` in config.json")
    return found[0]


@cache
def icae_digest(folder: Path) -> str:
    """Hash of everything that an ICAE's vectors depend on; where the base model lies is no part of it."""
    config = read_icae_config(folder).model_dump(exclude={"base_model", "weights"})
    return digest({"config": config, "weights": file_digest(weights_file(folder)), "base": checkpoint_digest(base_folder(folder))})


def read_icae_tensors(folder: Path, base: PreTrainedModel) -> IcaeTensors:
    """Read the weight file, checked against config.json and the base model.

    Raises:
        CheckpointError: the file is damaged, keys are missing or unexpected, or shapes do not fit.
    """
    path, config = weights_file(folder), read_icae_config(folder)
    tensors = read_tensors(path)
    check_tensors(str(path), tensors, base, config.memory_tokens)
    lora = {
        (layer, projection): LoraPair(*(tensors[LORA_KEY.format(layer=layer, projection=projection, part=part)] for part in "AB"))
        for layer in range(base.config.num_hidden_layers)
        for projection in PROJECTIONS
    }
    return IcaeTensors(lora, tensors[MEMORY_KEY])


def check_tensors(name: str, tensors: dict[str, torch.Tensor], base: PreTrainedModel, memory_tokens: int) -> None:
    """Refuse tensors that are not exactly an ICAE's on this base model.

    Raises:
        CheckpointError: keys are missing or unexpected, or shapes do not fit.
    """
    first = tensors.get(LORA_KEY.format(layer=0, projection=PROJECTIONS[0], part="A"))
    shapes = _expected_shapes(base, first.shape[0] if first is not None else 0, memory_tokens)
    missing, unexpected = sorted(shapes.keys() - tensors.keys()), sorted(tensors.keys() - shapes.keys())
    if missing or unexpected:
        raise CheckpointError(
            f"{name}: missing keys {missing[:3]} ({len(missing)}), unexpected keys {unexpected[:3]} ({len(unexpected)}); "
            f"an ICAE on a base model of {base.config.num_hidden_layers} layers has {len(shapes)} keys"
        )
    for key, shape in shapes.items():
        if tuple(tensors[key].shape) != shape:
            raise CheckpointError(
                f"{name}: {key} has shape {tuple(tensors[key].shape)}, expected {shape}; "
                f"the base model has hidden size {base.config.hidden_size}, config.json says memory_tokens {memory_tokens}"
            )
        if not torch.isfinite(tensors[key]).all():
            raise CheckpointError(f"{name}: {key} holds values that are not finite; train it again or download it again")


def _expected_shapes(base: PreTrainedModel, rank: int, memory_tokens: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {MEMORY_KEY: (memory_tokens + len(CONTROL_TOKENS), base.config.hidden_size)}
    for index, layer in enumerate(base.get_decoder().layers):
        for projection in PROJECTIONS:
            linear: nn.Linear = getattr(layer.self_attn, projection)
            shapes[LORA_KEY.format(layer=index, projection=projection, part="A")] = (rank, linear.in_features)
            shapes[LORA_KEY.format(layer=index, projection=projection, part="B")] = (linear.out_features, rank)
    return shapes


def write_icae(
    folder: Path, tensors: dict[str, torch.Tensor], config: IcaeConfig, base: PreTrainedModel, lora_dtype: torch.dtype = torch.bfloat16
) -> None:
    """Write an ICAE folder in the published layout: LoRA as `lora_dtype`, the memory embedding as float32.

    Args:
        folder: created; must be empty but for a base model that config.base_model names.
        tensors: under their published keys, whole on this process.

    Raises:
        CheckpointError: the folder is in use, or the tensors are not an ICAE's on this base model.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    if taken := [path.name for path in folder.iterdir() if path.name != config.base_model]:
        raise CheckpointError(f"{folder} holds {taken[0]}; checkpoints are never overwritten, choose a new folder")
    check_tensors("what was trained", tensors, base, config.memory_tokens)
    stored = {
        key: tensor.detach().to("cpu", torch.float32 if key == MEMORY_KEY else lora_dtype).contiguous() for key, tensor in tensors.items()
    }
    save_file(stored, folder / (config.weights or WEIGHTS_NAME), metadata={"format": "pt"})
    (folder / "config.json").write_text(config.model_dump_json(indent=2, exclude_none=True) + "\n")
