"""Facts about the configured models, read on a worker: the driver neither holds model files nor imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def inspect_models(encoder: EncoderConfig, retrieval: RetrievalConfig) -> ModelFacts:
    """Read the facts of a resolved encoder and the embedding model on one worker of the connected cluster."""
    import ray

    try:
        return ray.get(ray.remote(num_cpus=1)(_inspect).remote(encoder, retrieval))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # the worker's own message; the remote traceback adds nothing


def _inspect(encoder: EncoderConfig, retrieval: RetrievalConfig) -> ModelFacts:
    from lloco_core.compressor.autocompressor import encoder_identity
    from lloco_core.compressor.checkpoint import locate_checkpoint, read_config
    from lloco_core.retrieval.embedder import Embedder

    fingerprint, segment_length = encoder_identity(encoder.model, encoder.dtype, encoder.segment_length, encoder.quantization)
    config = read_config(locate_checkpoint(encoder.model))
    return ModelFacts(fingerprint, segment_length, config.summary_length, config.hidden_size, Embedder(retrieval.model).dimension)
