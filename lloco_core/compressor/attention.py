"""Causal attention of packed queries over the key/value buffers: every document sees its own region, all of it up to itself.

Three paths with one meaning. `PlainAttention` runs document by document and works everywhere. `FlashAttention` is the variable-length
kernel that PyTorch brings. `CudnnAttention` needs the package nvidia-cudnn-frontend and is the fastest on Hopper and later.
A query of a chunk stands at the end of its keys: the causal mask is aligned bottom-right.

Shape suffixes: M packed queries, Q query heads, N positions of the buffer, K key/value heads, D head dimension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from lloco_core.compressor.decoder import DecoderShape


class Spans:
    """Which packed queries belong together, and the region of their keys."""

    def __init__(self, query_lengths: list[int], key_starts: list[int], key_lengths: list[int], device: torch.device) -> None:
        self.query_lengths, self.key_starts, self.key_lengths = query_lengths, key_starts, key_lengths
        self.max_query, self.max_key = max(query_lengths, default=0), max(key_lengths, default=0)
        cumulative = np.concatenate([[0], np.cumsum(query_lengths)]).astype(np.int32)
        starts = np.array([*key_starts, 0], dtype=np.int32)
        lengths = np.array(key_lengths, dtype=np.int32)
        on_device = to_device(np.concatenate([cumulative, starts, lengths]), device)
        self.query_offsets, self.key_offsets, self.key_sizes = on_device.split([len(cumulative), len(starts), len(lengths)])
        self.derived: dict[Any, Any] = {}
        """What a path computes once per step and uses in every layer."""


def to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy without waiting for what the device is doing."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


class Attention(Protocol):
    """`window`: how many newest keys a query sees, itself among them; None for all."""

    def __call__(
        self, query_MQD: torch.Tensor, keys_NKD: torch.Tensor, values_NKD: torch.Tensor, spans: Spans, window: int | None
    ) -> torch.Tensor:
        """Return the attended values [M, Q, D]."""
        ...


class PlainAttention:
    """One document after the other, by `scaled_dot_product_attention`."""

    def __call__(
        self, query_MQD: torch.Tensor, keys_NKD: torch.Tensor, values_NKD: torch.Tensor, spans: Spans, window: int | None
    ) -> torch.Tensor:
        """Return the attended values [M, Q, D]."""
        out_MQD = torch.empty_like(query_MQD)
        queries, outs = query_MQD.split(spans.query_lengths), out_MQD.split(spans.query_lengths)
        groups = query_MQD.shape[1] // keys_NKD.shape[1]
        for query, out, start, length in zip(queries, outs, spans.key_starts, spans.key_lengths, strict=True):
            key, value = keys_NKD[start : start + length], values_NKD[start : start + length]
            if groups > 1:
                key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
            n_earlier = length - len(query)
            if window is None and n_earlier < len(query):  # rather a few queries too many than a mask, under which nothing is skipped
                padded = F.pad(query, (0, 0, 0, 0, n_earlier, 0))
                out.copy_(_attend(padded, key, value, None)[n_earlier:])
            else:
                out.copy_(_attend(query, key, value, _lower_right_mask(len(query), length, window, spans, query.device)))
        return out_MQD


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    q, k, v = (x.transpose(0, 1)[None] for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)[0].transpose(0, 1)


def _lower_right_mask(n_query: int, n_key: int, window: int | None, spans: Spans, device: torch.device) -> torch.Tensor:
    """True where a query sees a key."""
    name = (n_query, n_key, window)
    if name not in spans.derived:
        mask = torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril(n_key - n_query)
        spans.derived[name] = mask if window is None else mask.triu(n_key - n_query - window + 1)
    return spans.derived[name]


class FlashAttention:
    """FlashAttention 2 as PyTorch ships it, for float16 and bfloat16 on CUDA.

    Called as the operator behind `torch.nn.attention.varlen.varlen_attn`: the public function has no `seqused_k` before
    PyTorch 2.12. With `seqused_k`, the key offsets need not be contiguous, so the buffer is read where it lies.
    """

    def __call__(
        self, query_MQD: torch.Tensor, keys_NKD: torch.Tensor, values_NKD: torch.Tensor, spans: Spans, window: int | None
    ) -> torch.Tensor:
        """Return the attended values [M, Q, D]."""
        return torch.ops.aten._flash_attention_forward(
            query_MQD,
            keys_NKD,
            values_NKD,
            spans.query_offsets,
            spans.key_offsets,
            spans.max_query,
            spans.max_key,
            0.0,
            window is None,
            False,
            window_size_left=None if window is None else window - 1,
            window_size_right=None if window is None else 0,
            seqused_k=spans.key_sizes,
        )[0]


class CudnnAttention:
    """cuDNN's attention through nvidia-cudnn-frontend, with ragged offsets into the packed queries and the buffer.

    One graph is built per bucket of (documents, longest query, longest key), about 0.1 s each.
    """

    def __init__(self, shape: DecoderShape, dtype: torch.dtype, device: torch.device) -> None:
        import cudnn

        self._cudnn, self._shape, self._device = cudnn, shape, device
        self._dtype = {torch.bfloat16: cudnn.data_type.BFLOAT16, torch.float16: cudnn.data_type.HALF}[dtype]
        self._handle = cudnn.create_handle()
        self._graphs: dict[tuple[int, int, int], tuple[Any, dict[str, Any], torch.Tensor]] = {}
        self._flash = FlashAttention()

    def __call__(
        self, query_MQD: torch.Tensor, keys_NKD: torch.Tensor, values_NKD: torch.Tensor, spans: Spans, window: int | None
    ) -> torch.Tensor:
        """Return the attended values [M, Q, D]."""
        if window is not None and window < spans.max_key:
            return self._flash(query_MQD, keys_NKD, values_NKD, spans, window)
        if "cudnn" not in spans.derived:
            spans.derived["cudnn"] = self._prepare(spans)
        (graph, names, workspace), ragged = spans.derived["cudnn"]
        out_MQD = torch.empty_like(query_MQD)
        tensors = {"q": query_MQD, "k": keys_NKD, "v": values_NKD, "o": out_MQD} | ragged
        self._cudnn.set_stream(self._handle, torch.cuda.current_stream(self._device).cuda_stream)
        graph.execute({names[name]: tensor for name, tensor in tensors.items()}, workspace, handle=self._handle)
        return out_MQD

    def _prepare(self, spans: Spans) -> tuple[tuple[Any, dict[str, Any], torch.Tensor], dict[str, torch.Tensor]]:
        shape, n_spans = self._shape, len(spans.query_lengths)
        batch = _power_of_two(n_spans, 8)
        bucket = batch, -(-spans.max_query // 512) * 512, _power_of_two(spans.max_key, 1024)
        if bucket not in self._graphs:
            self._graphs[bucket] = self._build(*bucket)
        # spans that only fill the bucket have no queries and no keys
        query_offsets = torch.cat([spans.query_offsets, spans.query_offsets[-1:].expand(batch - n_spans)])
        ragged = {
            "q_offset": query_offsets * (shape.query_heads * shape.head_dim),
            "k_offset": F.pad(spans.key_offsets, (0, batch - n_spans)) * (shape.kv_heads * shape.head_dim),
            "q_size": query_offsets.diff(),
            "k_size": F.pad(spans.key_sizes, (0, batch - n_spans)),
        }
        return self._graphs[bucket], {name: tensor.view(-1, 1, 1, 1) for name, tensor in ragged.items()}

    def _build(self, batch: int, max_query: int, max_key: int) -> tuple[Any, dict[str, Any], torch.Tensor]:
        cudnn, shape = self._cudnn, self._shape
        graph = cudnn.pygraph(
            io_data_type=self._dtype,
            intermediate_data_type=cudnn.data_type.FLOAT,
            compute_data_type=cudnn.data_type.FLOAT,
            handle=self._handle,
        )
        names = {}
        for name, count in (("q_offset", batch + 1), ("k_offset", batch + 1), ("q_size", batch), ("k_size", batch)):
            names[name] = graph.tensor(name=name, dim=[count, 1, 1, 1], stride=[1, 1, 1, 1], data_type=cudnn.data_type.INT32)
        for name, heads, length in (("q", shape.query_heads, max_query), ("k", shape.kv_heads, max_key), ("v", shape.kv_heads, max_key)):
            dim, stride = _packed(batch, heads, length, shape.head_dim)
            names[name] = graph.tensor(name=name, dim=dim, stride=stride, data_type=self._dtype)
            names[name].set_ragged_offset(names["q_offset" if name == "q" else "k_offset"])
        names["o"], _ = graph.sdpa(
            name="attention",
            q=names["q"],
            k=names["k"],
            v=names["v"],
            generate_stats=False,
            attn_scale=shape.head_dim**-0.5,
            use_padding_mask=True,
            seq_len_q=names["q_size"],
            seq_len_kv=names["k_size"],
            use_causal_mask_bottom_right=True,
        )
        dim, stride = _packed(batch, shape.query_heads, max_query, shape.head_dim)
        names["o"].set_output(True).set_dim(dim).set_stride(stride).set_data_type(self._dtype).set_ragged_offset(names["q_offset"])
        graph.build([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        workspace = torch.empty(max(graph.get_workspace_size(), 1), device=self._device, dtype=torch.uint8)
        return graph, names, workspace


def _packed(batch: int, heads: int, length: int, head_dim: int) -> tuple[list[int], list[int]]:
    return [batch, heads, length, head_dim], [length * heads * head_dim, head_dim, heads * head_dim, 1]


def _power_of_two(number: int, least: int) -> int:
    return max(least, 1 << (number - 1).bit_length())


def choose_attention(shape: DecoderShape, dtype: torch.dtype, device: torch.device) -> Attention:
    """The fastest path that runs here."""
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return PlainAttention()
    hopper_or_later = torch.cuda.get_device_capability(device)[0] >= 9
    if hopper_or_later and shape.head_dim in (64, 128):
        try:
            return CudnnAttention(shape, dtype, device)
        except ImportError:
            pass
    return FlashAttention()
