"""Encoding a batch of documents with prefix key/value reuse.

Shape suffixes: B documents of a batch, P vectors put in front in this step, T tokens, S summary length, H hidden size.

Two facts make this exact. The soft prompt sits at positions 0.. under a causal mask, so its keys and values are the same
in every later segment and are kept. And padding stands to the right of all that is read, where a causal mask
hides it, so no attention mask is needed and no position shifts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(slots=True)
class DocumentWork:
    """A document on its way through the engine: what is still to encode, and the vectors produced."""

    order: int
    segments_T: list[torch.Tensor]
    carried_PH: torch.Tensor | None
    produced_SH: list[torch.Tensor] = field(default_factory=list)

    @property
    def sort_key(self) -> tuple[int, int, int]:
        """Carried vectors, segments, tokens of the last segment: what a batch has in common, then longest first."""
        carried = 0 if self.carried_PH is None else len(self.carried_PH)
        return carried, len(self.segments_T), len(self.segments_T[-1])


def encode_documents(
    decoder: PreTrainedModel, summary_SH: torch.Tensor, works: list[DocumentWork], accumulate: bool, batch_tokens: int
) -> None:
    """Encode all documents; the vectors land in their `produced_SH`.

    Documents with equally many carried vectors and similar length share a batch of at most `batch_tokens` positions.
    """
    for batch in _batches(works, summary_SH.shape[0], batch_tokens):
        _encode_batch(decoder, summary_SH, batch, accumulate)


def _batches(works: list[DocumentWork], summary_length: int, batch_tokens: int) -> list[list[DocumentWork]]:
    batches: list[list[DocumentWork]] = []
    for work in sorted(works, key=lambda work: work.sort_key, reverse=True):
        batch = batches[-1] if batches else []
        fits = batch and work.sort_key[0] == batch[0].sort_key[0]
        if fits and (len(batch) + 1) * max(_widest_step(work, summary_length), _widest_step(batch[0], summary_length)) <= batch_tokens:
            batch.append(work)
        else:
            batches.append([work])
    return batches


def _widest_step(work: DocumentWork, summary_length: int) -> int:
    """Most new positions of a step; the first step also runs everything carried, however long."""
    in_front = max(summary_length, work.sort_key[0])
    return in_front + max(len(segment) for segment in work.segments_T) + summary_length


def _encode_batch(decoder: PreTrainedModel, summary_SH: torch.Tensor, batch: list[DocumentWork], accumulate: bool) -> None:
    cache = DynamicCache()
    prompt_BPH = _carried(batch, summary_SH)
    for index in range(len(batch[0].segments_T)):  # longest first: the documents still running are a prefix of the batch
        running = [work for work in batch if index < len(work.segments_T)]
        if len(running) < len(prompt_BPH):
            prompt_BPH = prompt_BPH[: len(running)]
            if cache.get_seq_length():
                cache.batch_select_indices(torch.arange(len(running), device=summary_SH.device))
        kept = cache.get_seq_length() + prompt_BPH.shape[1]
        summary_BSH = _step(decoder, summary_SH, prompt_BPH, [work.segments_T[index] for work in running], cache)
        for work, vectors_SH in zip(running, summary_BSH, strict=True):
            work.produced_SH.append(vectors_SH)
        if accumulate and kept:
            cache.crop(kept - cache.get_seq_length())  # a negative number: how many positions to drop
        else:
            cache = DynamicCache()
        prompt_BPH = summary_BSH


def _carried(batch: list[DocumentWork], summary_SH: torch.Tensor) -> torch.Tensor:
    if batch[0].carried_PH is None:
        return summary_SH.new_zeros(len(batch), 0, summary_SH.shape[1])
    return torch.stack([work.carried_PH for work in batch])


def _step(
    decoder: PreTrainedModel,
    summary_SH: torch.Tensor,
    prompt_BPH: torch.Tensor,
    segments_T: list[torch.Tensor],
    cache: DynamicCache,
) -> torch.Tensor:
    """Run [P new vectors ; segment ; summary tokens ; padding] after the cached positions; return [B, S, H]."""
    n_prompt, n_summary = prompt_BPH.shape[1], len(summary_SH)
    starts = [n_prompt + len(segment) for segment in segments_T]
    x = summary_SH.new_zeros(len(segments_T), max(starts) + n_summary, summary_SH.shape[1])
    x[:, :n_prompt] = prompt_BPH
    embed = decoder.get_input_embeddings()
    for row, (segment, start) in enumerate(zip(segments_T, starts, strict=True)):
        x[row, n_prompt:start] = embed(segment)
        x[row, start : start + n_summary] = summary_SH
    positions = cache.get_seq_length() + torch.arange(x.shape[1], device=x.device)[None]
    hidden = decoder(inputs_embeds=x, position_ids=positions, past_key_values=cache, use_cache=True).last_hidden_state
    return torch.stack([hidden[row, start : start + n_summary] for row, start in enumerate(starts)])
