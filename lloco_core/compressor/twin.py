"""A second decoder on the weights of the first, whose attention projections can be other ones.

The frozen model answers while an adapted copy of it encodes. Switching an adapter on and off would couple the two: an encoding
step and an answer could not run at once, and recomputed activations would see the wrong state.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def twin_of(decoder: PreTrainedModel) -> PreTrainedModel:
    """A decoder with own layers and attention blocks around the same modules.

    Setting `twin.layers[i].self_attn.q_proj` leaves the first decoder as it is; nothing else is held twice.
    """
    own = {id(decoder), id(decoder.layers)} | {id(part) for layer in decoder.layers for part in (layer, layer.self_attn)}
    shared = {id(module): module for module in decoder.modules() if id(module) not in own}
    return copy.deepcopy(decoder, {id(decoder.config): decoder.config, **shared})
