"""The engines that are compared, behind one method: `encode(documents) -> vectors per document on the CPU`."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from benchmarks.shapes import Weights
from benchmarks.stock import OriginalEngine, StockEngine

if TYPE_CHECKING:
    import numpy as np

    from lloco_core.compressor import AutoCompressor

NAMES = ("original", "stock", "ours", "ours-fp8")


class Engine(Protocol):
    """What a row measures."""

    def encode(self, documents: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """Vectors per document."""
        ...


def build_engine(name: str, weights: Weights, batch_tokens: int | None = None) -> Engine:
    """An engine over weights of its own; it may change them."""
    if name == "original":
        return OriginalEngine(weights)
    if name == "stock":
        return StockEngine(weights)
    return build_encoder(weights, "fp8" if name == "ours-fp8" else "none", batch_tokens)


def build_encoder(weights: Weights, quantization: str, batch_tokens: int | None) -> AutoCompressor:
    """The package's encoder."""
    from lloco_core.compressor import AutoCompressor
    from lloco_core.compressor.options import EngineOptions

    options = EngineOptions(batch_tokens=batch_tokens, quantization=quantization)
    return AutoCompressor(weights.model, weights.summary_SH, weights.folder, weights.segment_length, options)


def release_memory() -> None:
    """Give back what the last engine held; call it when no reference to the engine is left."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
