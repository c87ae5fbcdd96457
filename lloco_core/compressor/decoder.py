"""The decoder of a LLaMA-family model over packed positions of many documents, on the weights of a stock transformers model.

Joint projections (q/k/v, gate/up) are one matrix; the stock modules' weights become views of it, so nothing is held twice.
Two savings are exact. Before the rotation the first layer's q/k/v of a token depend on the token alone, so they are a table.
Of the last layer only what the vectors need is computed: keys and values of all positions, all else of the
summary tokens.

Shape suffixes: M positions of a step, P prompt vectors and R summary tokens among them, H hidden size, C columns of a joint
projection, D head dimension, V vocabulary, S summary length.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from lloco_core.compressor import operators
from lloco_core.compressor.attention import Spans, choose_attention
from lloco_core.compressor.memory import free_bytes
from lloco_core.compressor.operators import Activation, Fp8Rows, HeadNorm, Rotary
from lloco_core.compressor.projection import Fp8Projection, NativeProjection, Projection
from lloco_core.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from lloco_core.compressor.memory import KeyValueMemory

TABLE_SHARE = 0.1
"""Share of the free device memory that the first layer's table may take; without it the layer is computed like others."""
TABLE_ROWS_AT_ONCE = 4096
POSITION_DEPENDENT_ROTARY = ("dynamic", "longrope")
"""Rotary scalings that depend on the length of a pass: keys kept from an earlier pass would be wrong."""


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """Sizes that plan memory and attention."""

    n_layers: int
    hidden_size: int
    intermediate_size: int
    query_heads: int
    kv_heads: int
    head_dim: int

    @property
    def activation_width(self) -> int:
        """Numbers per position that a step holds at once, in the number format of the model, with some room."""
        heads = (2 * self.query_heads + 2 * self.kv_heads) * self.head_dim
        return 2 * (3 * self.hidden_size + heads + 3 * self.intermediate_size)


@dataclass(frozen=True, slots=True)
class PackedStep:
    """What a forward pass has to know about its positions."""

    token_ids_M: torch.Tensor
    """Token ids; V + j for summary token j, anything for prompt vectors."""
    prompt_rows_P: torch.Tensor
    prompt_PH: torch.Tensor
    positions_M: torch.Tensor
    slots_M: torch.Tensor
    """Place of every position in the key/value buffer."""
    rows_R: torch.Tensor
    """The summary tokens."""
    spans: Spans
    """All positions as queries."""
    row_spans: Spans
    """The summary tokens as queries."""


@dataclass(frozen=True, slots=True)
class _Layer:
    index: int
    attention_norm_H: torch.Tensor
    query_key_value: Projection
    out: Projection
    mlp_norm_H: torch.Tensor
    gate_up: Projection
    down: Projection
    head_norm: HeadNorm | None
    window: int | None


class PackedDecoder:
    """The forward pass. Weights are shared with the stock model it is made of."""

    def __init__(self, decoder: PreTrainedModel, summary_SH: torch.Tensor, fp8: bool = False) -> None:
        config = decoder.config
        _refuse_unsupported(config)
        self._embedding_VH, self._summary_SH = decoder.embed_tokens.weight, summary_SH
        self.dtype, self.device, self.fp8 = summary_SH.dtype, summary_SH.device, fp8
        self.shape = DecoderShape(
            n_layers=config.num_hidden_layers,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            query_heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        )
        self.attend = choose_attention(self.shape, self.dtype, self.device)
        self._operators = _choose_operators(self.device)
        self._eps = config.rms_norm_eps
        self._final_norm_H = decoder.norm.weight
        self._rotary_module = decoder.rotary_emb
        self._rotary: Rotary | None = None
        self._layers = [self._pack(index, layer, config) for index, layer in enumerate(decoder.layers)]
        self._first_heads_VC = self._tabulate_first_layer()

    @torch.inference_mode()
    def __call__(self, step: PackedStep, memory: KeyValueMemory) -> torch.Tensor:
        """Run a step; return the normed hidden states [R, H] of the summary tokens."""
        self._reach(step.spans.max_key)
        x_MH, delta = self._embed(step), None
        for layer in self._layers[:-1]:
            heads_MC = self._first_heads(step) if layer.index == 0 else None
            if heads_MC is None:
                heads_MC = layer.query_key_value(self._norm(x_MH, delta, layer.attention_norm_H))
            query = self._rotate(layer, heads_MC, self.shape.query_heads, step.positions_M, step.slots_M, memory)
            delta = self._after_rotation(layer, query, x_MH, step.spans, memory)
        return self._last_layer(x_MH, delta, step, memory)

    def _embed(self, step: PackedStep) -> torch.Tensor:
        x_MH = F.embedding(step.token_ids_M.clamp(max=len(self._embedding_VH) - 1), self._embedding_VH)
        x_MH.index_copy_(0, step.rows_R, self._summary_SH.repeat(len(step.rows_R) // len(self._summary_SH), 1))
        return x_MH.index_copy_(0, step.prompt_rows_P, step.prompt_PH)

    def _tabulate_first_layer(self) -> torch.Tensor | None:
        """q/k/v of the first layer, before the rotation, of every token and summary token [V + S, C]."""
        columns = (self.shape.query_heads + 2 * self.shape.kv_heads) * self.shape.head_dim
        n_rows = len(self._embedding_VH) + len(self._summary_SH)
        if n_rows * columns * self.dtype.itemsize > TABLE_SHARE * free_bytes(self.device) or self.shape.n_layers == 1:
            return None
        layer, table_VC = self._layers[0], self._summary_SH.new_empty(n_rows, columns)
        inputs = [*self._embedding_VH.split(TABLE_ROWS_AT_ONCE), self._summary_SH]
        for rows, x_VH in zip(table_VC.split([len(x_VH) for x_VH in inputs]), inputs, strict=True):
            rows.copy_(layer.query_key_value(self._norm(x_VH, None, layer.attention_norm_H)))
        return table_VC

    def _first_heads(self, step: PackedStep) -> torch.Tensor | None:
        if self._first_heads_VC is None:
            return None
        heads_MC = F.embedding(step.token_ids_M, self._first_heads_VC)
        if len(step.prompt_rows_P):
            layer = self._layers[0]
            heads_PC = layer.query_key_value(self._norm(step.prompt_PH, None, layer.attention_norm_H))
            heads_MC.index_copy_(0, step.prompt_rows_P, heads_PC)
        return heads_MC

    def _last_layer(self, x_MH: torch.Tensor, delta: torch.Tensor | None, step: PackedStep, memory: KeyValueMemory) -> torch.Tensor:
        layer, rows_R = self._layers[-1], step.rows_R
        n_query = self.shape.query_heads * self.shape.head_dim
        normed = self._norm(x_MH, delta, layer.attention_norm_H)
        self._rotate(layer, layer.query_key_value.part(n_query, None)(normed), 0, step.positions_M, step.slots_M, memory)
        if not len(rows_R):
            return x_MH[:0]
        x_RH, heads_RC = x_MH[rows_R], layer.query_key_value.part(0, n_query)(normed[rows_R])
        query = self._rotate(layer, heads_RC, self.shape.query_heads, step.positions_M[rows_R], None, memory)
        delta = self._after_rotation(layer, query, x_RH, step.row_spans, memory)
        return self._operators.rms_norm(x_RH, delta, self._final_norm_H, self._eps, False)

    def _after_rotation(
        self, layer: _Layer, query: torch.Tensor, x_MH: torch.Tensor, spans: Spans, memory: KeyValueMemory
    ) -> torch.Tensor | None:
        attended = self.attend(query, memory.keys[layer.index], memory.values[layer.index], spans, layer.window)
        delta = layer.out.add_to(x_MH, self._activation(attended.flatten(1)))
        normed = self._norm(x_MH, delta, layer.mlp_norm_H)
        return layer.down.add_to(x_MH, self._operators.gated_silu(layer.gate_up(normed), self.fp8))

    def _norm(self, x_MH: torch.Tensor, delta: torch.Tensor | None, weight_H: torch.Tensor) -> Activation:
        return self._operators.rms_norm(x_MH, delta, weight_H, self._eps, self.fp8)

    def _rotate(
        self,
        layer: _Layer,
        heads_MC: torch.Tensor,
        n_query_heads: int,
        positions_M: torch.Tensor,
        slots_M: torch.Tensor | None,
        memory: KeyValueMemory,
    ) -> torch.Tensor:
        keys, values = memory.keys[layer.index], memory.values[layer.index]
        return self._operators.rotate_into_cache(heads_MC, n_query_heads, positions_M, slots_M, self._rotary, layer.head_norm, keys, values)

    def _activation(self, x: torch.Tensor) -> torch.Tensor | Fp8Rows:
        return self._operators.quantize_rows(x) if self.fp8 else x

    def _reach(self, n_positions: int) -> None:
        """Extend the rotary table to as many positions."""
        if self._rotary is None or len(self._rotary.cos) < n_positions:
            positions = torch.arange(1 << (n_positions - 1).bit_length(), device=self.device)[None]
            cos, sin = self._rotary_module(torch.empty(0, dtype=torch.float32, device=self.device), positions)
            half = self.shape.head_dim // 2
            self._rotary = Rotary(cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous())

    def _pack(self, index: int, layer: nn.Module, config: object) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        qkv, qkv_bias = _join(attention.q_proj, attention.k_proj, attention.v_proj)
        gate_up, gate_up_bias = _join(mlp.gate_proj, mlp.up_proj)
        project = Fp8Projection.of if self.fp8 else NativeProjection
        head_norm = None
        if hasattr(attention, "q_norm"):
            head_norm = HeadNorm(attention.q_norm.weight, attention.k_norm.weight, self._eps)
        return _Layer(
            index=index,
            attention_norm_H=layer.input_layernorm.weight,
            query_key_value=project(qkv, qkv_bias),
            out=project(attention.o_proj.weight, attention.o_proj.bias),
            mlp_norm_H=layer.post_attention_layernorm.weight,
            gate_up=project(gate_up, gate_up_bias),
            down=project(mlp.down_proj.weight, mlp.down_proj.bias),
            head_norm=head_norm,
            window=_window(attention, config),
        )


def _join(*linears: nn.Linear) -> tuple[torch.Tensor, torch.Tensor | None]:
    """One matrix of several; their weights become views of it."""
    weight = torch.cat([linear.weight for linear in linears])
    for linear, part in zip(linears, weight.split([len(linear.weight) for linear in linears]), strict=True):
        linear.weight.data = part
    if linears[0].bias is None:
        return weight, None
    return weight, torch.cat([linear.bias for linear in linears])


def _window(attention: nn.Module, config: object) -> int | None:
    return getattr(attention, "sliding_window", config.sliding_window if config.model_type == "mistral" else None)


def _choose_operators(device: torch.device) -> ModuleType:
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return operators
    from lloco_core.compressor import kernels

    return kernels


def _refuse_unsupported(config: object) -> None:
    if config.hidden_act != "silu":
        raise ConfigurationError(f"hidden_act {config.hidden_act!r} is not supported by the fast encoder; load it with fast=False")
    rope_type = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope_type in POSITION_DEPENDENT_ROTARY:
        raise ConfigurationError(f"rope_type {rope_type!r} depends on the length of a pass, keys cannot be kept; load it with fast=False")
