"""The trained module of an AutoCompressor: a stock causal language model and its summary embedding side by side.

Its `state_dict` has the published keys: those of the causal LM, and `embed_summary.weight` at the top. With LoRA the
projections carry adapters; `merged_encoder` folds them in.
Shape suffixes: B rows, P carried vectors, T tokens of a segment, S summary length, H hidden size.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lloco_core.compressor.autocompressor import AutoCompressor
from lloco_core.compressor.checkpoint import SUMMARY_KEY, build_causal_lm, locate_checkpoint, read_config, read_weights
from lloco_core.encoder_training.attention import use_causal_attention
from lloco_core.errors import CheckpointError
from lloco_core.training.engine import gathered
from lloco_core.training.lora import MLP_MODULES, TARGET_MODULES, add_lora

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lloco_core.encoder_training.recipe import AutoCompressorConfig, LoraRecipe


class AutoCompressorModule(nn.Module):
    """Decoder, output layer, and summary embedding of one encoder."""

    def __init__(self, causal_lm: PreTrainedModel, summary_SH: torch.Tensor) -> None:
        super().__init__()
        self.config = causal_lm.config
        self.model = causal_lm.get_decoder()
        self.lm_head = causal_lm.get_output_embeddings()
        self.embed_summary = nn.Embedding.from_pretrained(summary_SH, freeze=False)

    def forward(self, compute: Callable[..., Any], *inputs: Any) -> Any:
        """Run `compute(self, *inputs)`: DeepSpeed gathers weights and reduces gradients around calls of the module only."""
        return compute(self, *inputs)

    def read_segment(self, prompt_BPH: torch.Tensor | None, text_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Final-normed hidden states [B, T, H] of a segment's tokens, and its summary vectors [B, S, H] (paper, section 3.1)."""
        slots_S = torch.arange(self.embed_summary.num_embeddings, device=text_BT.device)
        summary_BSH = self.embed_summary(slots_S).expand(len(text_BT), -1, -1)
        prompt = [] if prompt_BPH is None else [prompt_BPH]
        x = torch.cat([*prompt, self.model.embed_tokens(text_BT), summary_BSH], dim=1)
        hidden = self.model(inputs_embeds=x, use_cache=False).last_hidden_state
        *_, text_BTH, new_BSH = hidden.split([part.shape[1] for part in prompt] + [text_BT.shape[1], len(slots_S)], dim=1)
        return text_BTH, new_BSH


def training_module(
    checkpoint: str,
    config: AutoCompressorConfig,
    lora: LoraRecipe | None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    seed: int = 0,
) -> AutoCompressorModule:
    """The module that training starts from.

    Args:
        checkpoint: `reference`, a folder, or a hub name: an encoder, whose summary embedding is trained on, or a plain language
            model, which gets a random one with the spread of its token embeddings.
        lora: train adapters and the summary embedding; None trains every parameter.
        seed: of a random summary embedding and of the adapters.

    Raises:
        CheckpointError: the files are missing, damaged, or of another layout.
    """
    folder = locate_checkpoint(checkpoint)
    model_config = read_config(folder)
    weights = read_weights(folder, dtype, device)
    summary_SH = weights.pop(SUMMARY_KEY, None)
    causal_lm = build_causal_lm(model_config, weights, dtype, str(folder))
    if summary_SH is None:
        summary_SH = _random_summary(causal_lm.get_input_embeddings().weight, config.summary_length, seed)
    elif len(summary_SH) != config.summary_length:
        raise CheckpointError(
            f"{folder} has {len(summary_SH)} summary vectors per segment, not summary_length {config.summary_length}; set it to that"
        )
    causal_lm.config.update({"summary_length": len(summary_SH), "accumulate_summary": config.accumulate})
    use_causal_attention(causal_lm)
    causal_lm.requires_grad_(lora is None)
    if config.frozen_embeddings:
        causal_lm.get_input_embeddings().requires_grad_(False)
        causal_lm.get_output_embeddings().requires_grad_(False)
    if lora is not None:
        modules = TARGET_MODULES + (MLP_MODULES if lora.modules == "all" else ())
        add_lora(causal_lm, r=lora.r, alpha=lora.alpha, dropout=lora.dropout, seed=seed, modules=modules)
    return AutoCompressorModule(causal_lm, summary_SH)


def _random_summary(tokens_VH: torch.Tensor, summary_length: int, seed: int) -> torch.Tensor:
    noise_SH = torch.randn(summary_length, tokens_VH.shape[1], generator=torch.Generator().manual_seed(seed))
    return (noise_SH * tokens_VH.float().std().item()).to(tokens_VH)


def merged_encoder(module: AutoCompressorModule, source: str, segment_length: int, device: str = "cpu") -> AutoCompressor:
    """A copy of the module as an encoder, adapters folded in: to be evaluated, or written by `export_checkpoint`.

    Every rank must call it; under ZeRO-3 the weights are gathered, on every rank.

    Args:
        source: the checkpoint that training started from; its tokenizer goes along.
        segment_length: tokens per segment that the encoder is used with by default.
    """
    with gathered(list(module.parameters())):
        weights = {key: tensor.detach().to(device, copy=True) for key, tensor in _merged_weights(module).items()}
    summary_SH = weights.pop(SUMMARY_KEY)
    causal_lm = build_causal_lm(copy.deepcopy(module.config), weights, summary_SH.dtype, "the trained module")
    return AutoCompressor(causal_lm, summary_SH, locate_checkpoint(source), segment_length=segment_length)


def _merged_weights(module: AutoCompressorModule) -> dict[str, torch.Tensor]:
    """Published keys to tensors. The weights in training stay as they are: merging in place and back would round them."""
    weights = {}
    for name, tensor in module.state_dict().items():
        if ".lora_" in name:
            continue
        owner = name.removesuffix(".base_layer.weight")
        if owner != name:
            layer = module.get_submodule(owner)
            delta = layer.get_delta_weight("default")
            tensor = (tensor.float() + delta.float()).to(tensor.dtype)
        weights[name.replace(".base_layer.", ".")] = tensor
    if module.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    return weights
