"""Encoders of known sizes with random weights, for measuring speed where no checkpoint can be had.

Sizes are those of the published models' config.json. `reference` is the checkpoint that the package carries, `tiny` is for tests.
Shape suffixes: S summary length, H hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHT_DEVIATION = 0.02
"""Standard deviation of the random weights. Never zeros: a matrix product of zeros draws less power and runs faster."""

LLAMA3_ROPE = {"rope_type": "llama3", "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192}
SHAPES: dict[str, dict[str, Any]] = {
    "llama2-7b": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "intermediate_size": 11008,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "llama3.1-8b": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "rope_parameters": LLAMA3_ROPE | {"factor": 8.0, "rope_theta": 500000.0},
    },
    "llama3.2-1b": {
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 8192,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
        "rope_parameters": LLAMA3_ROPE | {"factor": 32.0, "rope_theta": 500000.0},
    },
    "tiny": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "vocab_size": 128,
        "max_position_embeddings": 128,
        "summary_length": 4,
        "segment_length": 16,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
}
COMMON = {"summary_length": 50, "segment_length": 1536, "accumulate_summary": True, "rms_norm_eps": 1e-5, "attention_bias": False}
TRAINED = ("reference",)
"""Random weights of many layers make chaos of rounding: vectors of bfloat16 and float32 have little in common after four segments."""
NAMES = (*SHAPES, *TRAINED)


@dataclass(slots=True)
class Weights:
    """A decoder with its summary embedding, as every engine takes it."""

    model: PreTrainedModel
    summary_SH: torch.Tensor
    segment_length: int
    folder: Path

    def as_float32(self) -> Weights:
        """The same values in float32; converts the model in place."""
        return Weights(self.model.float(), self.summary_SH.float(), self.segment_length, self.folder)


def build_weights(shape: str, device: str, dtype: torch.dtype, seed: int) -> Weights:
    """Weights of a shape on a device; equal seeds give equal values on devices of one kind."""
    if shape == "reference":
        return _reference_weights(device, dtype)
    return _random_weights(shape, device, dtype, seed)


@torch.no_grad()
def _random_weights(shape: str, device: str, dtype: torch.dtype, seed: int) -> Weights:
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(**COMMON | SHAPES[shape])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model = model.to_empty(device=device)
    model.tie_weights()
    generator = None if device == "meta" else torch.Generator(device).manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.fill_(1.0)
        else:
            parameter.normal_(0.0, WEIGHT_DEVIATION, generator=generator)
    decoder = model.get_decoder()
    decoder.rotary_emb = type(decoder.rotary_emb)(config=config).to(device)  # its buffers are lost on the meta device
    summary_SH = torch.empty(config.summary_length, config.hidden_size, device=device, dtype=dtype)
    summary_SH.normal_(0.0, WEIGHT_DEVIATION, generator=generator)
    return Weights(model.eval().requires_grad_(False), summary_SH, config.segment_length, Path(f"random-{shape}"))


def _reference_weights(device: str, dtype: torch.dtype) -> Weights:
    from lloco_core.compressor.checkpoint import load_model, locate_checkpoint

    folder = locate_checkpoint("reference")
    model, summary_SH = load_model(folder, dtype, device)
    return Weights(model, summary_SH, model.config.segment_length, folder)
