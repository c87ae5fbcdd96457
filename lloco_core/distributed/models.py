"""Facts about the configured models, read on a worker: the driver neither holds model files nor imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lloco_core.distributed.remote import on_a_worker

if TYPE_CHECKING:
    from lloco_core.config import EncoderConfig, RetrievalConfig


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the tables and the plan depend on."""

    encoder_fingerprint: str
    segment_length: int
    summary_length: int
    hidden_size: int
    passage_dimension: int
    equal_segments: bool = False
    """The segments of a document are as long as one another."""


def inspect_models(encoder: EncoderConfig, retrieval: RetrievalConfig) -> ModelFacts:
    """Read the facts of a resolved encoder and the embedding model on one worker of the connected cluster."""
    return on_a_worker(_inspect, encoder, retrieval)


def _inspect(encoder: EncoderConfig, retrieval: RetrievalConfig) -> ModelFacts:
    from lloco_core.compressor.loading import encoder_identity
    from lloco_core.retrieval.embedder import Embedder

    found = encoder_identity(encoder.model, encoder.dtype, encoder.segment_length, encoder.quantization)
    dimension = Embedder(retrieval.model).dimension
    return ModelFacts(found.fingerprint, found.segment_length, found.summary_length, found.hidden_size, dimension, found.equal_segments)
