"""The trained module of an ICAE: LoRA on q and v of an encoding twin, and the memory embedding, around a frozen base model.

The base model decodes as it is: it never sees the adapter, so gradients reach the adapter through the slots alone.
Shape suffixes: B rows, T tokens, k memory tokens of a segment, P slots of a row, H hidden size.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from torch.utils.checkpoint import checkpoint

from lloco_core.compressor.icae_checkpoint import CONTROL_TOKENS, LORA_KEY, MEMORY_KEY, PROJECTIONS, IcaeConfig, write_icae
from lloco_core.compressor.twin import twin_of
from lloco_core.encoder_training.attention import use_causal_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class IcaeModule(nn.Module):
    """Encoder, output layer, and memory embedding. Trainable are the adapter and `memory_token_embed`, in float32.

    Args:
        base: the frozen causal language model.
        memory_tokens: memory tokens per segment (k); three control tokens come on top.
        rank: of LoRA; the published ones have 512, with alpha 32.
        alpha: of LoRA.
        dropout: of LoRA.
        segment_checkpointing: keep of every segment its slots only, and compute it again in the backward pass.
        seed: of adapter and memory embedding, whose spread is that of the token embeddings.
    """

    def __init__(
        self,
        base: PreTrainedModel,
        memory_tokens: int,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        segment_checkpointing: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        base.requires_grad_(False)
        use_causal_attention(base)
        self.memory_tokens, self.alpha, self.segment_checkpointing = memory_tokens, alpha, segment_checkpointing
        lora = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(PROJECTIONS), bias="none")
        spread = base.get_input_embeddings().weight.float().std().item()
        with warnings.catch_warnings(), torch.random.fork_rng():
            warnings.simplefilter("ignore", FutureWarning)  # peft reads an attribute that transformers 6 renames
            torch.manual_seed(seed)
            self.encoder = inject_adapter_in_model(lora, twin_of(base.get_decoder()))
            self.memory_token_embed = nn.Embedding(memory_tokens + len(CONTROL_TOKENS), base.config.hidden_size, device=base.device)
            nn.init.normal_(self.memory_token_embed.weight, std=spread)
        for parameter in self.encoder.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        self.lm_head = base.get_output_embeddings()
        self._unregistered = (base,)  # its leaves are the encoder's: registered, every frozen weight would have two names

    @property
    def base(self) -> PreTrainedModel:
        """The frozen causal language model."""
        return self._unregistered[0]

    def forward(self, compute: Callable[..., Any], *inputs: Any) -> Any:
        """Run `compute(self, *inputs)`: DeepSpeed gathers weights and reduces gradients around calls of the module only."""
        return compute(self, *inputs)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The trained weights only; the base model never changes."""
        state = super().state_dict(*args, **kwargs)
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        for name in state.keys() - trained:
            del state[name]
        return state

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Input embeddings of tokens."""
        return self.encoder.embed_tokens(token_ids)

    def control(self, name: str) -> torch.Tensor:
        """Input embedding [1, H] of a control token: `AE`, `LM`, or `FT`."""
        row = torch.tensor([self.memory_tokens + CONTROL_TOKENS.index(name)], device=self.memory_token_embed.weight.device)
        return self.memory_token_embed(row).to(self.encoder.dtype)

    def read(self, text_BT: torch.Tensor, bounds: Sequence[tuple[int, int]]) -> torch.Tensor:
        """Slots [B, P, H] of the segments of rows, each encoded for itself (paper, section 2.2)."""
        segments = [text_BT[:, start:end] for start, end in bounds]
        if self.segment_checkpointing:
            slots = [checkpoint(self._slots, segment_BT, use_reentrant=False) for segment_BT in segments]
        else:
            slots = [self._slots(segment_BT) for segment_BT in segments]
        return torch.cat(slots, dim=1)

    def decode(self, x_BTH: torch.Tensor) -> torch.Tensor:
        """Final-normed hidden states [B, T, H] of the frozen base model."""
        return self.base.get_decoder()(inputs_embeds=x_BTH, use_cache=False).last_hidden_state

    def _slots(self, text_BT: torch.Tensor) -> torch.Tensor:
        rows_k = torch.arange(self.memory_tokens, device=text_BT.device)
        memory_BkH = self.memory_token_embed(rows_k).to(self.encoder.dtype).expand(len(text_BT), -1, -1)
        x = torch.cat([self.embed(text_BT), memory_BkH], dim=1)
        return self.encoder(inputs_embeds=x, use_cache=False).last_hidden_state[:, -self.memory_tokens :]


def published_tensors(module: IcaeModule) -> dict[str, torch.Tensor]:
    """The trained weights under their published keys; under ZeRO-3 they must have been gathered."""
    tensors = {MEMORY_KEY: module.memory_token_embed.weight}
    for index, layer in enumerate(module.encoder.layers):
        for projection in PROJECTIONS:
            adapted = getattr(layer.self_attn, projection)
            for part, weights in (("A", adapted.lora_A), ("B", adapted.lora_B)):
                tensors[LORA_KEY.format(layer=index, projection=projection, part=part)] = weights["default"].weight
    return tensors


def save_icae(module: IcaeModule, folder: Path, base_model: str, segment_length: int, lora_dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the trained state in the published layout, for `load_encoder`.

    Args:
        folder: created; must be empty but for the base model, where that lies in it.
        base_model: where the base model is found from then on: a folder inside `folder`, another folder, or a hub name.
        lora_dtype: bfloat16 as published; float32 keeps the trained numbers.

    Raises:
        CheckpointError: the folder is in use, or weights are not whole or not finite.
    """
    config = IcaeConfig(base_model=base_model, lora_alpha=module.alpha, memory_tokens=module.memory_tokens, segment_length=segment_length)
    write_icae(folder, published_tensors(module), config, module.base, lora_dtype)
