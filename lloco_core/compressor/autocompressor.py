"""The AutoCompressor context encoder (Chevalier et al. 2023, arXiv 2305.14788) on stock transformers models.

Segment k of a document is run as `[vectors so far ; segment ; summary tokens]`; the new vectors are used directly as input
embeddings of later segments and of the answering model. With `accumulate_summary` every later segment sees all vectors,
otherwise (the RMT variant) only the newest.

Shape suffixes: P carried vectors, S summary length, H hidden size.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lloco_core.compressor.checkpoint import checkpoint_digest
from lloco_core.compressor.encoder import ContextEncoder, fitting_segment_length
from lloco_core.compressor.engine import DocumentWork
from lloco_core.compressor.options import EngineOptions
from lloco_core.compressor.segment import Segmentation
from lloco_core.errors import EncodingError

if TYPE_CHECKING:
    import numpy as np
    from transformers import PretrainedConfig, PreTrainedModel

PUBLISHED_SEGMENT_LENGTH = 1536
"""Segment length of LLoCO: 1536 tokens to 50 vectors. Used where config.json names none."""


def segment_length_of(config: PretrainedConfig, wanted: int | None, summary_length: int) -> int:
    """Tokens per segment: what is wanted, what the checkpoint says, or the published 1536 if it fits.

    Raises:
        EncodingError: segment and summary tokens together exceed `max_position_embeddings`.
    """
    limit = config.max_position_embeddings
    length = wanted or getattr(config, "segment_length", None) or min(PUBLISHED_SEGMENT_LENGTH, limit - summary_length)
    return fitting_segment_length(length, summary_length, limit)


class AutoCompressor(ContextEncoder):
    """The segments of a document are one chain."""

    def __init__(
        self,
        model: PreTrainedModel,
        summary_SH: torch.Tensor,
        folder: Path,
        segment_length: int | None = None,
        options: EngineOptions = EngineOptions(),  # noqa: B008 - frozen
    ) -> None:
        segmentation = Segmentation(segment_length_of(model.config, segment_length, len(summary_SH)))
        super().__init__(model, summary_SH, folder, segmentation, options)
        self.accumulate = bool(getattr(model.config, "accumulate_summary", True))

    @property
    def decoder(self) -> PreTrainedModel:
        """The answering model's own decoder."""
        return self.model.get_decoder()

    @property
    def checkpoint_digest(self) -> str:
        """Hash of the files that the vectors depend on."""
        return checkpoint_digest(self.folder)

    def carried_on(self, vectors_PH: torch.Tensor) -> torch.Tensor:
        """All vectors, or the newest segment's of the RMT variant."""
        return vectors_PH if self.accumulate else vectors_PH[-self.summary_length :]

    def _chains(self, order: int, segments_T: list[np.ndarray], prefix: torch.Tensor | np.ndarray | None) -> list[DocumentWork]:
        return [DocumentWork(order, segments_T, self._carried(order, prefix))]

    def _carried(self, order: int, vectors: torch.Tensor | np.ndarray | None) -> torch.Tensor | None:
        if vectors is None or len(vectors) == 0:
            return None
        carried_PH = torch.as_tensor(vectors).to(self.summary_SH)
        if carried_PH.ndim != 2 or carried_PH.shape[1] != self.hidden_size:
            raise EncodingError(f"prefix of document {order} has shape {tuple(carried_PH.shape)}, expected [n, {self.hidden_size}]")
        return self.carried_on(carried_PH)
