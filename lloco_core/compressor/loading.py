"""From a name to a loaded context encoder of either kind, or to the facts about it without loading weights."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from lloco_core.compressor.autocompressor import AutoCompressor, segment_length_of
from lloco_core.compressor.checkpoint import (
    checkpoint_digest,
    checkpoint_files,
    encoder_fingerprint,
    load_model,
    locate_checkpoint,
    read_config,
    summary_length_of,
)
from lloco_core.compressor.encoder import ContextEncoder
from lloco_core.compressor.icae import Icae, load_icae
from lloco_core.compressor.icae import segment_length_of as icae_segment_length_of
from lloco_core.compressor.icae_checkpoint import base_folder, icae_digest, is_icae, read_icae_config, weights_file
from lloco_core.compressor.options import EngineOptions
from lloco_core.errors import ConfigurationError


class EncoderIdentity(NamedTuple):
    """What tables and plans depend on."""

    fingerprint: str
    segment_length: int
    summary_length: int
    hidden_size: int
    equal_segments: bool


def load_encoder(
    path_or_hub_name: str,
    device: str = "cpu",
    dtype: str = "float32",
    fast: bool = True,
    segment_length: int | None = None,
    batch_tokens: int | None = None,
    quantization: str = "none",
    memory_fraction: float = 0.9,
) -> ContextEncoder:
    """Load a context encoder from the packaged `reference`, a folder, or the hub.

    Args:
        path_or_hub_name: the checkpoint; AutoCompressor or ICAE is recognised from config.json and the keys.
        device: torch device.
        dtype: `float32`, `bfloat16`, or `float16`.
        fast: continuous batching with prefix key/value reuse; False encodes one document at a time and everything anew.
        segment_length: tokens per segment; by default that of config.json, else the published one.
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
    options = EngineOptions(fast=fast, batch_tokens=batch_tokens, quantization=quantization, memory_fraction=memory_fraction)
    if is_icae(folder):
        return Icae(load_icae(folder, torch_dtype, device), folder, segment_length, options)
    return AutoCompressor(*load_model(folder, torch_dtype, device), folder, segment_length, options)


def encoder_identity(path_or_hub_name: str, dtype: str, segment_length: int | None, quantization: str = "none") -> EncoderIdentity:
    """Fingerprint and sizes of an encoder without loading its weights into a model."""
    folder = locate_checkpoint(path_or_hub_name)
    if is_icae(folder):
        icae = read_icae_config(folder)
        config, summary_length, checkpoint = read_config(base_folder(folder)), icae.memory_tokens, icae_digest(folder)
        length = icae_segment_length_of(icae, config, segment_length)
    else:
        config, checkpoint = read_config(folder), checkpoint_digest(folder)
        summary_length = summary_length_of(config, folder)
        length = segment_length_of(config, segment_length, summary_length)
    fingerprint = encoder_fingerprint(checkpoint, dtype, length, quantization)
    return EncoderIdentity(fingerprint, length, summary_length, config.hidden_size, is_icae(folder))


def tokenizer_folder(path_or_hub_name: str) -> Path:
    """The folder that holds an encoder's tokenizer."""
    folder = locate_checkpoint(path_or_hub_name)
    return base_folder(folder) if is_icae(folder) else folder


def describe_encoder(path_or_hub_name: str) -> str:
    """Kind, shape, files, and size of an encoder in words.

    Raises:
        CheckpointError: files are missing or of another layout.
    """
    folder = locate_checkpoint(path_or_hub_name)
    kind, own = ("icae on ", [weights_file(folder)]) if is_icae(folder) else ("", [])
    base = tokenizer_folder(path_or_hub_name)
    config, files = read_config(base), [*own, *checkpoint_files(base)]
    size = sum(file.stat().st_size for file in files) / 1e6
    names = ", ".join(str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file) for file in files)
    return (
        f"{kind}{config.model_type}, {config.num_hidden_layers} layers of {config.hidden_size}, {len(files)} files, {size:,.0f} MB: {names}"
    )
