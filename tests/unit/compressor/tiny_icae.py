"""Random ICAE folders in the published layout on tiny bases, and the definition of the encoder on stock transformers and peft."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import PreTrainedModel

from tests.unit.compressor.tiny_checkpoints import HIDDEN, random_model

MEMORY, RANK, ALPHA = 3, 4, 8
SEGMENT = 40
PUBLISHED_NAME = "mistral_7b_ft_icae.safetensors"


@dataclass(frozen=True)
class TinyIcae:
    """A folder on disk and what was written into it."""

    folder: Path
    base: PreTrainedModel
    tensors: dict[str, torch.Tensor]

    @property
    def memory_CH(self) -> torch.Tensor:
        return self.tensors["memory_token_embed.weight"]


def published_tensors(base: PreTrainedModel) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for index, layer in enumerate(base.model.layers):
        for name in ("q_proj", "v_proj"):
            linear = getattr(layer.self_attn, name)
            prefix = f"icae.base_model.model.model.layers.{index}.self_attn.{name}"
            a, b = (RANK, linear.in_features), (linear.out_features, RANK)
            for part, shape in (("A", a), ("B", b)):
                tensors[f"{prefix}.lora_{part}.default.weight"] = (torch.randn(shape, generator=generator) * 0.2).bfloat16()
    return tensors | {"memory_token_embed.weight": torch.randn(MEMORY + 3, HIDDEN, generator=generator) * 0.3}


def write_base(folder: Path, model: PreTrainedModel) -> None:
    folder.mkdir(parents=True)
    weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()))


def write_icae_folder(folder: Path, base: str = "mistral_window", config: dict[str, Any] | None = None, **changes: Any) -> TinyIcae:
    model = random_model(base, **changes)
    write_base(folder / "base", model)
    tensors = published_tensors(model)
    save_file(tensors, folder / PUBLISHED_NAME)
    written = {"lloco_encoder": "icae", "base_model": "base", "lora_alpha": ALPHA, "memory_tokens": MEMORY, "segment_length": SEGMENT}
    (folder / "config.json").write_text(json.dumps(written | (config or {})))
    return TinyIcae(folder, model, tensors)


def adapted_model(base: PreTrainedModel, tensors: dict[str, torch.Tensor]) -> PeftModel:
    """Stock peft on a copy of the base; the published keys are peft's own below `icae.`."""
    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(base), lora)
    weights = {key.removeprefix("icae."): tensor.float() for key, tensor in tensors.items() if key.startswith("icae.")}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert not [key for key in missing if "lora_" in key]
    return model


def expected_slots(tiny: TinyIcae, ids: list[int], length: int = SEGMENT) -> torch.Tensor:
    """Section 3 of the method: equal segments, each for itself, `[tokens ; memory tokens]`."""
    decoder = adapted_model(tiny.base, tiny.tensors).eval().get_base_model().model
    size = math.ceil(len(ids) / math.ceil(len(ids) / length))
    slots = []
    with torch.no_grad():
        for start in range(0, len(ids), size):
            tokens_TH = decoder.embed_tokens(torch.tensor(ids[start : start + size]))
            x = torch.cat([tokens_TH, tiny.memory_CH[:MEMORY]])
            positions = torch.arange(len(x))[None]
            slots.append(decoder(inputs_embeds=x[None], position_ids=positions, use_cache=False).last_hidden_state[0, -MEMORY:])
    return torch.cat(slots)
