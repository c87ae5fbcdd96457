"""The AutoCompressor context encoder (Chevalier et al. 2023, arXiv 2305.14788) on stock transformers models.

Segment k of a document is run as `[vectors so far ; segment ; summary tokens]` with a causal mask and positions from 0;
the final-normed hidden states at the summary tokens are the new vectors, used directly as input embeddings of later
segments and of the answering model. With `accumulate_summary` every later segment sees all vectors, otherwise (the
RMT variant) only the newest. `plain_encode` computes exactly that; `engine` computes the same faster.

Shape suffixes: T tokens, P carried vectors, S summary length, H hidden size.
"""

from __future__ import annotations

import logging
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from lloco_core.compressor.checkpoint import checkpoint_fingerprint, load_model, locate_checkpoint, read_config, summary_length_of
from lloco_core.compressor.engine import DocumentWork, Engine
from lloco_core.compressor.segment import segment_bounds
from lloco_core.compressor.tokenizing import load_tokenizer, tokenize
from lloco_core.errors import ConfigurationError, EncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

PUBLISHED_SEGMENT_LENGTH = 1536
"""Segment length of LLoCO: 1536 tokens to 50 vectors. Used where config.json names none."""


def load_encoder(
    path_or_hub_name: str,
    device: str = "cpu",
    dtype: str = "float32",
    fast: bool = True,
    segment_length: int | None = None,
    batch_tokens: int | None = None,
    quantization: str = "none",
    memory_fraction: float = 0.9,
) -> AutoCompressor:
    """Load a context encoder from the packaged `reference`, a folder, or the hub.

    Args:
        path_or_hub_name: the checkpoint; its layout is recognised from config.json and the keys.
        device: torch device.
        dtype: `float32`, `bfloat16`, or `float16`.
        fast: continuous batching with prefix key/value reuse; False encodes one document at a time and everything anew.
        segment_length: tokens per segment; by default that of config.json, else 1536.
        batch_tokens: new positions of one forward pass; by default what keeps the device busy.
        quantization: `fp8` computes the linear layers in float8 on cards that have it.
        memory_fraction: share of the device's free memory for keys, values, and activations.

    Raises:
        CheckpointError: the files are missing, damaged, or of another layout.
        EncodingError: the segment length does not fit the model's position limit.
    """
    folder = locate_checkpoint(path_or_hub_name)
    try:
        torch_dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
    except KeyError:
        raise ConfigurationError(f"dtype {dtype!r} is not supported; use float32, bfloat16, or float16") from None
    model, summary_SH = load_model(folder, torch_dtype, device)
    return AutoCompressor(model, summary_SH, folder, fast, segment_length, batch_tokens, quantization, memory_fraction)


def segment_length_of(config: PretrainedConfig, wanted: int | None, summary_length: int) -> int:
    """Tokens per segment: what is wanted, what the checkpoint says, or the published 1536 if it fits.

    Raises:
        EncodingError: segment and summary tokens together exceed `max_position_embeddings`.
    """
    limit = config.max_position_embeddings
    length = wanted or getattr(config, "segment_length", None) or min(PUBLISHED_SEGMENT_LENGTH, limit - summary_length)
    if length < 1 or length + summary_length > limit:
        raise EncodingError(
            f"segment length {length} with {summary_length} summary tokens exceeds the position limit {limit} "
            f"(max_position_embeddings); use 1 to {limit - summary_length}"
        )
    return length


class AutoCompressor:
    """A loaded context encoder; one instance per process and device.

    `encode` may be called from several threads at once: their documents share the device's steps.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        summary_SH: torch.Tensor,
        folder: Path,
        fast: bool = True,
        segment_length: int | None = None,
        batch_tokens: int | None = None,
        quantization: str = "none",
        memory_fraction: float = 0.9,
    ) -> None:
        self.model = model
        self.summary_SH = summary_SH
        self.folder = folder
        self.fast = fast
        self.batch_tokens = batch_tokens
        if quantization not in ("none", "fp8") or (quantization != "none" and not fast):
            raise ConfigurationError(f"quantization {quantization!r} with fast={fast} is not supported; use none, or fp8 with fast=True")
        self.quantization = quantization
        self.memory_fraction = memory_fraction
        self._building = threading.Lock()
        self.accumulate = bool(getattr(model.config, "accumulate_summary", True))
        self.segment_length = segment_length_of(model.config, segment_length, len(summary_SH))

    @property
    def summary_length(self) -> int:
        """Summary vectors per segment (S)."""
        return self.summary_SH.shape[0]

    @property
    def hidden_size(self) -> int:
        """Width of a vector (H)."""
        return self.summary_SH.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """Names checkpoint, number format, and segment length; vectors of equal fingerprints are interchangeable."""
        dtype = str(self.summary_SH.dtype).removeprefix("torch.")
        return checkpoint_fingerprint(self.folder, dtype, self.segment_length, self.quantization)

    @property
    def engine(self) -> Engine:
        """What `encode` runs on. Built once, by whichever thread comes first."""
        with self._building:
            return self._engine

    @cached_property
    def _engine(self) -> Engine:
        return Engine(
            self.model.get_decoder(), self.summary_SH, self.accumulate, self.batch_tokens, self.quantization == "fp8", self.memory_fraction
        )

    @property
    def busy_seconds(self) -> float:
        """Seconds since loading in which the device was executing steps."""
        return self.engine.busy_seconds()

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer."""
        return load_tokenizer(self.folder)

    def tokenize(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Token ids [T] and character ranges [T, 2] of a text."""
        return tokenize(self.tokenizer, text)

    @torch.inference_mode()
    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        segment_length: int | None = None,
        prefix: Sequence[torch.Tensor | np.ndarray | None] | None = None,
    ) -> list[torch.Tensor]:
        """Encode documents into summary vectors.

        Args:
            token_ids: one list of token ids per document, without BOS and EOS.
            segment_length: tokens per segment for this call.
            prefix: per document the vectors [n, H] of what came before, or None; encoding continues after them.

        Returns:
            Per document, in order, the new vectors [S * ceil(T / segment_length), H] on the CPU.

        Raises:
            EncodingError: an empty document, a token id outside the vocabulary, a prefix of the wrong shape, or a
                segment length beyond the position limit.
        """
        length = segment_length_of(self.model.config, segment_length or self.segment_length, self.summary_length)
        if prefix is not None and len(prefix) != len(token_ids):
            raise EncodingError(f"{len(token_ids)} documents came with {len(prefix)} prefixes; give one (or None) per document")
        works = [
            DocumentWork(order, self._segments(order, ids, length), self._carried(order, prefix[order] if prefix is not None else None))
            for order, ids in enumerate(token_ids)
        ]
        if self.fast:
            self.engine.encode_documents(works)
        else:
            for work in works:
                self.plain_encode(work)
        return [work.result() for work in works]

    def plain_encode(self, work: DocumentWork) -> None:
        """The definition: one document, no cache, the soft prompt encoded again in every segment."""
        decoder = self.model.get_decoder()
        prompt_PH = work.carried_PH if work.carried_PH is not None else self.summary_SH[:0]
        for segment_T in work.segments_T:
            tokens_TH = decoder.get_input_embeddings()(torch.from_numpy(segment_T).to(self.summary_SH.device))
            x = torch.cat([prompt_PH, tokens_TH, self.summary_SH])
            hidden = decoder(inputs_embeds=x[None], use_cache=False).last_hidden_state[0]
            new_SH = hidden[-self.summary_length :]
            work.on_host_SH.append(new_SH.cpu())
            prompt_PH = torch.cat([prompt_PH, new_SH]) if self.accumulate else new_SH

    def _segments(self, order: int, ids: Sequence[int], length: int) -> list[np.ndarray]:
        tokens_T = np.asarray(ids, dtype=np.int64)
        if tokens_T.ndim != 1 or len(tokens_T) == 0:
            raise EncodingError(f"document {order} has no tokens; leave empty documents out")
        low, high = int(tokens_T.min()), int(tokens_T.max())
        if low < 0 or high >= self.model.config.vocab_size:
            raise EncodingError(
                f"document {order} has token ids {low}..{high} outside the vocabulary of {self.model.config.vocab_size}; "
                "was it tokenised with another model's tokenizer?"
            )
        return [tokens_T[start:end] for start, end in segment_bounds(len(tokens_T), length)]

    def _carried(self, order: int, vectors: torch.Tensor | np.ndarray | None) -> torch.Tensor | None:
        if vectors is None or len(vectors) == 0:
            return None
        carried_PH = torch.as_tensor(vectors).to(self.summary_SH)
        if carried_PH.ndim != 2 or carried_PH.shape[1] != self.hidden_size:
            raise EncodingError(f"prefix of document {order} has shape {tuple(carried_PH.shape)}, expected [n, {self.hidden_size}]")
        return carried_PH if self.accumulate else carried_PH[-self.summary_length :]


def encoder_identity(path_or_hub_name: str, dtype: str, segment_length: int | None, quantization: str = "none") -> tuple[str, int]:
    """Fingerprint and segment length of an encoder without loading its weights into a model."""
    folder = locate_checkpoint(path_or_hub_name)
    config = read_config(folder)
    length = segment_length_of(config, segment_length, summary_length_of(config, folder))
    return checkpoint_fingerprint(folder, dtype, length, quantization), length
