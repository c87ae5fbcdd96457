"""How passes are computed, whatever the encoder: none of it is part of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from lloco_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What `load_encoder` is told and both encoders pass on.

    Raises:
        ConfigurationError: an unknown quantization, or one without the engine.
    """

    fast: bool = True
    """Compute in the engine; False is `plain_encode`, which nothing else here applies to."""
    batch_tokens: int | None = None
    """New positions of one forward pass; None: what keeps the device busy."""
    quantization: str = "none"
    """`fp8` computes the linear layers in float8; vectors differ, so the fingerprint does."""
    memory_fraction: float = 0.9
    """Share of the device's free memory for keys, values, and activations."""

    def __post_init__(self) -> None:
        if self.quantization not in ("none", "fp8") or (self.quantization != "none" and not self.fast):
            raise ConfigurationError(
                f"quantization {self.quantization!r} with fast={self.fast} is not supported; use none, or fp8 with fast=True"
            )
