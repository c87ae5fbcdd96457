"""Causal attention that never waits for the GPU.

The stock models look, at every call, whether position ids hold several packed sequences, and read the answer from the device: the
host stops until all work before it is done. Training rows are dense, so PyTorch's causal attention is taken without asking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

NAME = "causal_sdpa"


def use_causal_attention(model: PreTrainedModel) -> None:
    """Let a model attend to everything before a position; one with a sliding window keeps what it has.

    On a GPU cuDNN's attention is switched off in this process: it plans every new shape for milliseconds on the host, and segments
    and answers have new shapes at every step.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if getattr(model.config, "sliding_window", None):
        return
    torch.backends.cuda.enable_cudnn_sdp(False)
    ALL_ATTENTION_FUNCTIONS.register(NAME, _attention)
    model.set_attn_implementation(NAME)


def _attention(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None, **options: Any
) -> tuple[torch.Tensor, None]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
