"""The optimizer of encoder training: AdamW, or Muon on the matrices of the decoder layers beside it.

Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon) steps along the orthogonalised momentum of a matrix. It is DeepSpeed's
own: ZeRO cuts matrices between workers, and orthogonalises the whole ones for it. Called by the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lloco_core.encoder_training.compiling import layer_stacks
from lloco_core.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import nn

    from lloco_core.encoder_training.recipe import EncoderTrainingConfig

MUON_MOMENTUM = 0.95
"""The default of torch.optim.Muon."""
NEWTON_SCHULZ = "standard"
"""How DeepSpeed orthogonalises: as torch.optim.Muon, in bfloat16. Its default, in float16, saves work on matrices far from square."""


def build_optimizer(model: nn.Module, recipe: EncoderTrainingConfig) -> torch.optim.Optimizer:
    """The optimizer of the parameters that require a gradient. The first groups are AdamW's.

    Raises:
        ConfigurationError: Muon has no matrix to move.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if recipe.muon_learning_rate is None:
        return torch.optim.AdamW(_decayed(trained, recipe.weight_decay), lr=recipe.learning_rate, betas=recipe.betas)
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam

    of_layers = {id(weight) for layers in layer_stacks(model) for weight in layers.parameters() if weight.ndim == 2}
    for parameter in trained:
        parameter.use_muon = id(parameter) in of_layers  # ZeRO asks the parameter, the optimizer its group
    matrices, others = [p for p in trained if p.use_muon], [p for p in trained if not p.use_muon]
    if not matrices:
        raise ConfigurationError(
            f"muon_learning_rate {recipe.muon_learning_rate:g}, but no matrix of a decoder layer is trained; leave it out"
        )
    adamw = {"use_muon": False, "lr": recipe.learning_rate, "betas": recipe.betas, "eps": 1e-8}
    muon = {"use_muon": True, "lr": recipe.muon_learning_rate, "momentum": MUON_MOMENTUM, "ns_method": NEWTON_SCHULZ}
    groups = [group | adamw for group in _decayed(others, recipe.weight_decay)]
    groups.append({"params": matrices, "weight_decay": recipe.weight_decay} | muon)
    return MuonWithAuxAdam(groups, adam_optimizer=torch.optim.AdamW)


def _decayed(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices with weight decay, norms and biases without."""
    if not weight_decay:
        return [{"params": parameters, "weight_decay": 0.0}]
    matrices, others = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}] + ([{"params": others, "weight_decay": 0.0}] if others else [])
