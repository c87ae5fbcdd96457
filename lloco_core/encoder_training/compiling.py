"""Decoder layers as compiled graphs: norms, rotation, and gate become a few kernels between the matrix products."""

from __future__ import annotations

import torch
from torch import nn

GRAPHS = 64
"""Of one layer at most: with and without gradients, masks, and earlier vectors. Beyond torch's default of 8 layers run uncompiled."""


def compile_layers(model: nn.Module, backend: str = "inductor") -> int:
    """Let every decoder layer be compiled at its first call, one graph for all lengths. Returns how many layers.

    Weights, names, and results stay (but for rounding). Not for ZeRO-3, which fetches weights within the layers.
    """
    layers = {id(layer): layer for stack in layer_stacks(model) for layer in stack}
    torch._dynamo.config.recompile_limit = max(GRAPHS, torch._dynamo.config.recompile_limit)
    for layer in layers.values():
        layer.compile(dynamic=True, backend=backend)
    return len(layers)


def layer_stacks(model: nn.Module) -> list[nn.ModuleList]:
    """The decoder layers of every model in there."""
    found = (getattr(module, "layers", None) for module in model.modules())
    return [layers for layers in found if isinstance(layers, nn.ModuleList)]
