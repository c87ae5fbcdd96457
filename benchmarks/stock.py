"""The two baselines: the original way of encoding, and a batched one with the cache of transformers.

Both run the stock transformers decoder with scaled-dot-product attention. Shape suffixes: B documents of a batch, P vectors put in front
in this step, T tokens, S summary length, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import DynamicCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmarks.shapes import Weights

BATCH_DOCUMENTS = 8


class OriginalEngine:
    """One document at a time; every segment encodes all vectors so far anew, as the research code does."""

    def __init__(self, weights: Weights) -> None:
        self.decoder = weights.model.get_decoder()
        self.summary_SH = weights.summary_SH
        self.segment_length = weights.segment_length

    @torch.inference_mode()
    def encode(self, documents: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """Vectors [S * segments, H] per document, on the CPU."""
        return [self._encode(document).cpu() for document in documents]

    def _encode(self, document: np.ndarray) -> torch.Tensor:
        embed, n_summary = self.decoder.get_input_embeddings(), len(self.summary_SH)
        prompt_PH = self.summary_SH[:0]
        for segment_T in _segments(document, self.segment_length, self.summary_SH.device):
            x = torch.cat([prompt_PH, embed(segment_T), self.summary_SH])
            hidden = self.decoder(inputs_embeds=x[None], use_cache=False).last_hidden_state[0]
            prompt_PH = torch.cat([prompt_PH, hidden[-n_summary:]])
        return prompt_PH


class StockEngine:
    """Batches of similar documents in step, padded on the right, the soft prompt's keys and values kept in a DynamicCache."""

    def __init__(self, weights: Weights, batch_documents: int = BATCH_DOCUMENTS) -> None:
        self.decoder: PreTrainedModel = weights.model.get_decoder()
        self.summary_SH = weights.summary_SH
        self.segment_length = weights.segment_length
        self.batch_documents = batch_documents

    @torch.inference_mode()
    def encode(self, documents: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """Vectors [S * segments, H] per document, on the CPU."""
        longest_first = sorted(range(len(documents)), key=lambda order: -len(documents[order]))
        vectors: dict[int, torch.Tensor] = {}
        for start in range(0, len(documents), self.batch_documents):
            orders = longest_first[start : start + self.batch_documents]
            batch = [_segments(documents[order], self.segment_length, self.summary_SH.device) for order in orders]
            vectors |= zip(orders, self._encode_batch(batch), strict=True)
        return [vectors[order].cpu() for order in range(len(documents))]

    def _encode_batch(self, batch: list[list[torch.Tensor]]) -> list[torch.Tensor]:
        cache = DynamicCache()
        prompt_BPH = self.summary_SH.new_zeros(len(batch), 0, self.summary_SH.shape[1])
        produced: list[list[torch.Tensor]] = [[] for _ in batch]
        for index in range(len(batch[0])):  # longest first: the documents still running are the first of the batch
            running = [segments for segments in batch if index < len(segments)]
            if len(running) < len(prompt_BPH):
                prompt_BPH = prompt_BPH[: len(running)]
                if cache.get_seq_length():
                    cache.batch_select_indices(torch.arange(len(running), device=self.summary_SH.device))
            kept = cache.get_seq_length() + prompt_BPH.shape[1]
            prompt_BPH = self._step(prompt_BPH, [segments[index] for segments in running], cache)
            for vectors, vectors_SH in zip(produced, prompt_BPH, strict=False):
                vectors.append(vectors_SH)
            if kept:
                cache.crop(kept - cache.get_seq_length())  # a negative number: how many positions to drop
            else:
                cache = DynamicCache()
        return [torch.cat(vectors) for vectors in produced]

    def _step(self, prompt_BPH: torch.Tensor, segments_T: list[torch.Tensor], cache: DynamicCache) -> torch.Tensor:
        """Run [P new vectors ; segment ; summary tokens ; padding] after the cached positions; return [B, S, H]."""
        n_prompt, n_summary = prompt_BPH.shape[1], len(self.summary_SH)
        starts = [n_prompt + len(segment) for segment in segments_T]
        x = self.summary_SH.new_zeros(len(segments_T), max(starts) + n_summary, self.summary_SH.shape[1])
        x[:, :n_prompt] = prompt_BPH
        embed = self.decoder.get_input_embeddings()
        for row, (segment, start) in enumerate(zip(segments_T, starts, strict=True)):
            x[row, n_prompt:start] = embed(segment)
            x[row, start : start + n_summary] = self.summary_SH
        positions = cache.get_seq_length() + torch.arange(x.shape[1], device=x.device)[None]
        hidden = self.decoder(inputs_embeds=x, position_ids=positions, past_key_values=cache, use_cache=True).last_hidden_state
        return torch.stack([hidden[row, start : start + n_summary] for row, start in enumerate(starts)])


def _segments(document: np.ndarray, length: int, device: torch.device) -> list[torch.Tensor]:
    tokens_T = torch.as_tensor(np.asarray(document, dtype=np.int64), device=device)
    return list(tokens_T.split(length))
