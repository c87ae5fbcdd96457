"""The encoder between two: what training changed, in part.

A stage of training that brings something new can cost what the encoder could do before; weights between the two often keep both (WiSE-FT,
Wortsman et al. 2022, arXiv 2109.01903, section 3).
"""

from __future__ import annotations

import copy

import torch

from lloco_core.compressor.autocompressor import AutoCompressor
from lloco_core.compressor.checkpoint import SUMMARY_KEY, build_causal_lm
from lloco_core.compressor.encoder import ContextEncoder
from lloco_core.compressor.export import stored_tensors
from lloco_core.errors import CheckpointError, ConfigurationError


def interpolate(start: ContextEncoder, trained: ContextEncoder, share: float) -> AutoCompressor:
    """Weights `start + share * (trained - start)`, computed in float32, in the number format of `trained` and with its tokenizer.

    Raises:
        ConfigurationError: the share is not within 0 and 1.
        CheckpointError: one of them is no AutoCompressor, or their weights have other names or shapes.
    """
    if not 0 <= share <= 1:
        raise ConfigurationError(f"share {share:g} is not within 0 and 1; 0 is the start, 1 the trained encoder")
    for encoder in (start, trained):
        if not isinstance(encoder, AutoCompressor):
            raise CheckpointError(f"{encoder.folder} is no AutoCompressor; only these can be interpolated")
    before, after = stored_tensors(start), stored_tensors(trained)
    other = [name for name in sorted(before.keys() | after.keys()) if _shape(before, name) != _shape(after, name)]
    if other:
        raise CheckpointError(
            f"{other[0]} is {_shape(before, other[0])} in {start.folder} and {_shape(after, other[0])} in {trained.folder}; "
            "give the encoder that the training started from"
        )
    weights = {name: torch.lerp(before[name].float(), tensor.float(), share).to(tensor.dtype) for name, tensor in after.items()}
    summary_SH = weights.pop(SUMMARY_KEY)
    model = build_causal_lm(copy.deepcopy(trained.model.config), weights, summary_SH.dtype, "the interpolated encoder")
    return AutoCompressor(model, summary_SH, trained.folder, segment_length=trained.segment_length)


def _shape(weights: dict[str, torch.Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None
