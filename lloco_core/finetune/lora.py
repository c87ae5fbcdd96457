"""LoRA on the attention projections: attach it to a frozen model, and save it in the layout servers load.

A saved adapter is a folder with `adapter_config.json` and `adapter_model.safetensors`, keys
`base_model.model.model.layers.{i}.self_attn.{q,k,v,o}_proj.lora_{A,B}.weight`. It is checked after writing: under
ZeRO-3 a careless save writes tensors of shape (0,) without an error. Called by the training workers.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open

from lloco_core.errors import CheckpointError
from lloco_core.training.engine import gathered, is_first_rank
from lloco_core.training.lora import TARGET_MODULES, add_lora

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from lloco_core.config import FinetuneConfig

WEIGHTS_NAME = "adapter_model.safetensors"
CONFIG_NAME = "adapter_config.json"


def attach_lora(model: PreTrainedModel, recipe: FinetuneConfig) -> PeftModel:
    """Freeze the model and add LoRA, initialised from the recipe's seed. The model is changed in place."""
    with warnings.catch_warnings():
        # transformers 5.23 (and peft through it) announces new names for this that 5.17 does not have
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*gradient_checkpointing.*")
        if recipe.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()  # else nothing below the first LoRA layer has a graph to recompute
        return add_lora(model, r=recipe.r, alpha=recipe.alpha, dropout=recipe.dropout, seed=recipe.seed)


def save_adapter(model: PeftModel, folder: Path | str, base_model_name: str, max_length: int | None = None) -> None:
    """Write the adapter as servers expect it. Every rank must call it; rank 0 writes.

    Args:
        base_model_name: written exactly as given; vLLM compares it with its `--model` string.
        max_length: context limit that Ray Serve reads from the configuration.

    Raises:
        CheckpointError: a saved tensor is missing, empty, of the wrong shape, or not finite.
    """
    folder = Path(folder)
    parameters = [parameter for name, parameter in model.named_parameters() if "lora_" in name]
    with gathered(parameters):
        if is_first_rank():
            shapes = _expected_shapes(model)
            model.save_pretrained(folder, save_embedding_layers=False)
            (folder / "README.md").unlink(missing_ok=True)
            _write_config(folder / CONFIG_NAME, base_model_name, max_length)
            check_weights(folder / WEIGHTS_NAME, shapes)


def check_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse a weights file whose tensors are not exactly `shapes` or not finite."""
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        if names != shapes.keys():
            raise CheckpointError(
                f"{path} lacks {sorted(shapes.keys() - names)[:3]} and has unexpected {sorted(names - shapes.keys())[:3]}"
            )
        for name, shape in shapes.items():
            tensor = file.get_tensor(name)
            if tuple(tensor.shape) != shape:
                raise CheckpointError(
                    f"{path}: {name} has shape {tuple(tensor.shape)}, expected {shape}; a partitioned weight must be gathered first"
                )
            if not torch.isfinite(tensor).all():
                raise CheckpointError(f"{path}: {name} holds values that are not finite; lower finetune.learning_rate")


def _expected_shapes(model: PeftModel) -> dict[str, tuple[int, ...]]:
    rank = model.peft_config["default"].r
    shapes: dict[str, tuple[int, ...]] = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in TARGET_MODULES and hasattr(module, "lora_A"):
            shapes[f"{name}.lora_A.weight"] = (rank, module.in_features)
            shapes[f"{name}.lora_B.weight"] = (module.out_features, rank)
    return shapes


def _write_config(path: Path, base_model_name: str, max_length: int | None) -> None:
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = base_model_name
    config["target_modules"] = sorted(TARGET_MODULES)
    if max_length is not None:
        config["max_length"] = max_length
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
