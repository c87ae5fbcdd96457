"""What every context encoder has: a frozen language model, memory tokens, and the way from token ids to vectors.

A pass runs `[vectors so far ; segment ; memory tokens]` with a causal mask and positions from 0; the final-normed hidden states
at the memory tokens are the new vectors. Passes that read one another's vectors form a chain. The encoders differ in their chains:
all segments of a document (`autocompressor`), or every segment for itself (`icae`). `plain_encode` computes exactly that;
`engine` computes the same faster.

Shape suffixes: T tokens, P vectors in front, S memory tokens of a segment, H hidden size.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from lloco_core.compressor.checkpoint import encoder_fingerprint
from lloco_core.compressor.engine import DocumentWork, Engine
from lloco_core.compressor.segment import Segmentation
from lloco_core.compressor.tokenizing import load_tokenizer, tokenize
from lloco_core.errors import EncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from lloco_core.compressor.options import EngineOptions


class ContextEncoder(ABC):
    """A loaded context encoder; one instance per process and device.

    `encode` may be called from several threads at once: their documents share the device's steps.
    """

    accumulate = False
    """A pass sees the vectors of all passes before it in its chain; otherwise only the newest."""

    def __init__(
        self,
        model: PreTrainedModel,
        summary_SH: torch.Tensor,
        folder: Path,
        segmentation: Segmentation,
        options: EngineOptions,
    ) -> None:
        self.model = model
        self.summary_SH = summary_SH
        self.folder = folder
        self.options = options
        self._building = threading.Lock()
        self.segmentation = replace(segmentation, length=self._fitting(segmentation.length))

    @property
    def summary_length(self) -> int:
        """Vectors per segment (S)."""
        return self.summary_SH.shape[0]

    @property
    def hidden_size(self) -> int:
        """Width of a vector (H)."""
        return self.summary_SH.shape[1]

    @property
    def segment_length(self) -> int:
        """Tokens per segment at most."""
        return self.segmentation.length

    @property
    @abstractmethod
    def decoder(self) -> PreTrainedModel:
        """The stock decoder that passes run through."""

    @property
    @abstractmethod
    def checkpoint_digest(self) -> str:
        """Hash of the files that the vectors depend on."""

    @abstractmethod
    def _chains(self, order: int, segments_T: list[np.ndarray], prefix: torch.Tensor | np.ndarray | None) -> list[DocumentWork]:
        """The chains of a document, in the order of its vectors."""

    def soft_prompt(self, vectors_PH: np.ndarray) -> np.ndarray:
        """What the answering model reads in front of the prompt [P', H]: the vectors, and control tokens where the method has them."""
        return vectors_PH

    def carried_on(self, vectors_PH: torch.Tensor) -> torch.Tensor:
        """What the text that follows a document is read behind: all of its vectors, unless only the newest are carried."""
        return vectors_PH

    @cached_property
    def fingerprint(self) -> str:
        """Names checkpoint, number format, and segment length; vectors of equal fingerprints are interchangeable."""
        dtype = str(self.summary_SH.dtype).removeprefix("torch.")
        return encoder_fingerprint(self.checkpoint_digest, dtype, self.segment_length, self.options.quantization)

    @property
    def engine(self) -> Engine:
        """What `encode` runs on. Built once, by whichever thread comes first."""
        with self._building:
            return self._engine

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self.decoder, self.summary_SH, self.accumulate, self.options)

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
        """Encode documents into vectors.

        Args:
            token_ids: one list of token ids per document, without BOS and EOS.
            segment_length: tokens per segment for this call.
            prefix: per document the vectors [n, H] of what came before, or None; encoding continues after them.

        Returns:
            Per document, in order, the new vectors [S * ceil(T / segment_length), H] on the CPU.

        Raises:
            EncodingError: an empty document, a token id outside the vocabulary, a prefix of the wrong shape or one that the
                encoder cannot continue, or a segment length beyond the position limit.
        """
        segmentation = replace(self.segmentation, length=self._fitting(segment_length or self.segment_length))
        if prefix is not None and len(prefix) != len(token_ids):
            raise EncodingError(f"{len(token_ids)} documents came with {len(prefix)} prefixes; give one (or None) per document")
        chains = [
            self._chains(order, self._segments(order, ids, segmentation), prefix[order] if prefix is not None else None)
            for order, ids in enumerate(token_ids)
        ]
        works = [work for of_document in chains for work in of_document]
        if self.options.fast:
            self.engine.encode_documents(works)
        else:
            for work in works:
                self.plain_encode(work)
        return [torch.cat([work.result() for work in of_document]) for of_document in chains]

    def plain_encode(self, work: DocumentWork) -> None:
        """The definition: one chain, no cache, the soft prompt encoded again in every pass."""
        prompt_PH = work.carried_PH if work.carried_PH is not None else self.summary_SH[:0]
        for segment_T in work.segments_T:
            tokens_TH = self.decoder.get_input_embeddings()(torch.from_numpy(segment_T).to(self.summary_SH.device))
            x = torch.cat([prompt_PH, tokens_TH, self.summary_SH])
            hidden = self.decoder(inputs_embeds=x[None], use_cache=False).last_hidden_state[0]
            new_SH = hidden[-self.summary_length :]
            work.on_host_SH.append(new_SH.cpu())
            prompt_PH = torch.cat([prompt_PH, new_SH]) if self.accumulate else new_SH

    def _fitting(self, length: int) -> int:
        return fitting_segment_length(length, self.summary_length, self.model.config.max_position_embeddings)

    def _segments(self, order: int, ids: Sequence[int], segmentation: Segmentation) -> list[np.ndarray]:
        tokens_T = np.asarray(ids, dtype=np.int64)
        if tokens_T.ndim != 1 or len(tokens_T) == 0:
            raise EncodingError(f"document {order} has no tokens; leave empty documents out")
        low, high = int(tokens_T.min()), int(tokens_T.max())
        if low < 0 or high >= self.model.config.vocab_size:
            raise EncodingError(
                f"document {order} has token ids {low}..{high} outside the vocabulary of {self.model.config.vocab_size}; "
                "was it tokenised with another model's tokenizer?"
            )
        return [tokens_T[start:end] for start, end in segmentation.bounds(len(tokens_T))]


def fitting_segment_length(length: int, summary_length: int, limit: int) -> int:
    """Return the segment length if segment and memory tokens together fit the position limit.

    Raises:
        EncodingError: they do not.
    """
    if length < 1 or length + summary_length > limit:
        raise EncodingError(
            f"segment length {length} with {summary_length} summary tokens exceeds the position limit {limit} "
            f"(max_position_embeddings); use 1 to {limit - summary_length}"
        )
    return length
