"""Random two-layer checkpoints of every supported base, and the definition of the encoder on top of stock transformers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from tests.tiny_models import copy_tokenizer, random_lm

HIDDEN = 64
SUMMARY = 4
VOCABULARY = 211
WINDOW = 24
"""Sliding window of the Mistral base: shorter than every sequence of the tests that use it."""

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama_untied": ("llama", {"num_key_value_heads": 8, "tie_word_embeddings": False}),
    "llama_tied": ("llama", {"num_key_value_heads": 8, "tie_word_embeddings": True}),
    "llama_gqa": ("llama", {"tie_word_embeddings": False}),
    "mistral_window": ("mistral", {"sliding_window": WINDOW, "tie_word_embeddings": False}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 24, "tie_word_embeddings": False}),
}


@dataclass(frozen=True)
class Tiny:
    """A checkpoint on disk and the stock model it was written from."""

    folder: Path
    model: PreTrainedModel
    summary_SH: torch.Tensor


def random_model(base: str, **changes: Any) -> PreTrainedModel:
    family, own = BASES[base]
    shared = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 96,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.15,
        "attn_implementation": "eager",
    }
    model = random_lm(family, 11, **shared | own | changes).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:  # norms start as ones and biases as zeros, which would hide that they are left out
            parameter.add_(torch.randn_like(parameter) * (0.3 if name.endswith("norm.weight") else 0.5))
    return model


def stored_tensors(tiny_model: PreTrainedModel, summary_SH: torch.Tensor) -> dict[str, torch.Tensor]:
    """Keys and tensors as published: the causal LM's own, and a top-level summary embedding."""
    weights = {key: tensor.clone() for key, tensor in tiny_model.state_dict().items()}
    if tiny_model.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    return weights | {"embed_summary.weight": summary_SH.clone()}


def write_config(folder: Path, model: PreTrainedModel, **extra: Any) -> None:
    own = {"architectures": ["LlamaAutoCompressorModel"], "summary_length": SUMMARY, "accumulate_summary": True}
    config = model.config.to_dict() | own | extra
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value != "absent"}))


def write_checkpoint(folder: Path, base: str = "llama_gqa", accumulate: bool = True, tokenizer: bool = False, **changes: Any) -> Tiny:
    folder.mkdir(parents=True)
    model = random_model(base, **changes)
    summary_SH = torch.randn(SUMMARY, HIDDEN, generator=torch.Generator().manual_seed(5)) * 0.3
    write_config(folder, model, accumulate_summary=accumulate)
    save_file(stored_tensors(model, summary_SH), folder / "model.safetensors")
    if tokenizer:
        copy_tokenizer(folder)
    return Tiny(folder, model, summary_SH)


def document(n_tokens: int, seed: int = 0) -> list[int]:
    return torch.randint(0, VOCABULARY, (n_tokens,), generator=torch.Generator().manual_seed(1000 * seed + n_tokens)).tolist()


def expected_vectors(
    tiny: Tiny, ids: list[int], length: int, prefix_PH: torch.Tensor | None = None, accumulate: bool = True
) -> torch.Tensor:
    """Section 2 of the AutoCompressor paper, one document, no cache: the new vectors [S * ceil(T / length), H]."""
    prompt_PH = torch.zeros(0, HIDDEN) if prefix_PH is None else torch.as_tensor(prefix_PH)
    if not accumulate:
        prompt_PH = prompt_PH[-SUMMARY:]
    produced = []
    for start in range(0, len(ids), length):
        tokens_TH = tiny.model.model.embed_tokens(torch.tensor(ids[start : start + length]))
        x = torch.cat([prompt_PH, tokens_TH, tiny.summary_SH])
        positions = torch.arange(len(x))[None]
        hidden = tiny.model.model(inputs_embeds=x[None], position_ids=positions, use_cache=False).last_hidden_state[0]
        produced.append(hidden[-SUMMARY:])
        prompt_PH = torch.cat([prompt_PH, produced[-1]]) if accumulate else produced[-1]
    return torch.cat(produced)
