"""Compiled decoder layers compute what the plain ones do, with the same graphs for all segment lengths."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from tiny_encoder import objective_config, random_batch, recipe, tiny_module

from lloco_core.encoder_training.autocompressor import AutoCompressorObjective
from lloco_core.encoder_training.compiling import compile_layers
from lloco_core.encoder_training.module import AutoCompressorModule

COMPILED_FOR = 6
"""Batches after which every graph is there: with and without carried vectors, with and without answers."""


def gradients(module: AutoCompressorModule, number: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(number)
    module.zero_grad()
    for loss in AutoCompressorObjective(objective_config()).losses(module, random_batch(number)):
        (loss.mean * loss.weight).backward()
    return {name: parameter.grad for name, parameter in module.named_parameters()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", [pytest.param("aot_eager", marks=pytest.mark.real), pytest.param("inductor", marks=pytest.mark.long)])
def test_gradients_are_the_plain_ones_and_other_lengths_compile_nothing(backend: str) -> None:
    """With `aot_eager` the same graphs, forward and backward, without the minute that a C++ compiler takes for them."""
    plain, compiled = tiny_module(), tiny_module()
    assert compile_layers(compiled, backend) == 2
    for number in range(COMPILED_FOR + 8):
        with torch._dynamo.config.patch(error_on_recompile=number >= COMPILED_FOR):
            found = gradients(compiled, number)
        for name, expected in gradients(plain, number).items():
            torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_which_devices_compile() -> None:
    assert recipe().compiles_on("cuda")
    assert not recipe().compiles_on("cpu")
    assert not recipe(zero_stage=3).compiles_on("cuda")
    assert not recipe(compiled="never").compiles_on("cuda")
    with pytest.raises(ValidationError, match="set zero_stage to 2"):
        recipe(compiled="always", zero_stage=3)
