"""The trained module: published keys, LoRA, and exported folders that give the module's own vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_encoder import BASES, SUMMARY, objective_config, tiny_model, tiny_module, tokens

from lloco_core.compressor import load_encoder
from lloco_core.compressor.export import export_checkpoint
from lloco_core.encoder_training.autocompressor import AutoCompressorObjective
from lloco_core.encoder_training.batch import Batch
from lloco_core.encoder_training.module import AutoCompressorModule, merged_encoder, training_module
from lloco_core.encoder_training.recipe import LoraRecipe
from lloco_core.errors import CheckpointError

LENGTH = 12


def write_base(folder: Path, base: str = "llama_tied") -> Path:
    """A plain language model on disk."""
    tiny_model(base).save_pretrained(folder)
    return folder


def train(module: AutoCompressorModule, steps: int = 3) -> None:
    optimizer = torch.optim.AdamW([parameter for parameter in module.parameters() if parameter.requires_grad], lr=1e-2)
    for step in range(steps):
        for loss in AutoCompressorObjective(objective_config()).losses(module.train(), Batch(tokens(2, 24, seed=step), [])):
            (loss.mean * loss.weight).backward()
        optimizer.step()
        optimizer.zero_grad()
    module.eval()


@torch.no_grad()
def vectors_of(module: AutoCompressorModule, ids: torch.Tensor) -> torch.Tensor:
    """What the training module itself makes of a document."""
    vectors_1PH = torch.zeros(1, 0, module.config.hidden_size)
    for segment in ids.split(LENGTH):
        vectors_1PH = torch.cat([vectors_1PH, module.read_segment(vectors_1PH, segment[None])[1]], dim=1)
    return vectors_1PH[0]


@pytest.mark.parametrize("lora", [None, LoraRecipe(dropout=0.0)], ids=["full", "lora"])
@pytest.mark.parametrize("base", BASES)
def test_an_exported_folder_gives_the_modules_vectors(tmp_path: Path, base: str, lora: LoraRecipe | None) -> None:
    source = str(write_base(tmp_path / "base", base))
    module = training_module(source, objective_config(), lora)
    document = tokens(3 * LENGTH + 5, seed=77)
    untrained = vectors_of(module, document)
    train(module)
    expected = vectors_of(module, document)
    assert (expected - untrained).abs().max() > 0.1
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    export_checkpoint(merged_encoder(module, source, LENGTH), tmp_path / "out")
    encoder = load_encoder(str(tmp_path / "out"))
    assert encoder.segment_length == LENGTH
    (found,) = encoder.encode([document.tolist()])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert load_file(tmp_path / "out" / "model.safetensors").keys() == published_keys(base)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items()), "exporting changed the module"


def published_keys(base: str) -> set[str]:
    model = tiny_model(base)
    return {*model.state_dict(), "embed_summary.weight"} - ({"lm_head.weight"} if model.config.tie_word_embeddings else set())


@pytest.mark.parametrize("base", ["llama_tied", "llama_untied"])
def test_its_own_keys_are_the_published_ones(tmp_path: Path, base: str) -> None:
    """So that a plain save of the state is a checkpoint."""
    module = tiny_module(base)
    assert module.state_dict().keys() == {*tiny_model(base).state_dict(), "embed_summary.weight"}
    (tmp_path / "plain").mkdir()
    module.config.update({"summary_length": SUMMARY, "segment_length": LENGTH})
    module.config.save_pretrained(tmp_path / "plain")
    weights = {name: tensor for name, tensor in module.state_dict().items() if base == "llama_untied" or name != "lm_head.weight"}
    save_file(weights, tmp_path / "plain" / "model.safetensors")
    document = tokens(30, seed=3)
    (found,) = load_encoder(str(tmp_path / "plain")).encode([document.tolist()])
    torch.testing.assert_close(found, vectors_of(module, document), atol=1e-5, rtol=1e-5)


def test_what_is_trained(tmp_path: Path) -> None:
    source = str(write_base(tmp_path / "base"))
    full = training_module(source, objective_config(), None)
    assert all(parameter.requires_grad for parameter in full.parameters())
    lora = training_module(source, objective_config(), LoraRecipe())
    trained = {name for name, parameter in lora.named_parameters() if parameter.requires_grad}
    projections = [f"model.layers.{layer}.self_attn.{kind}_proj" for layer in range(2) for kind in "qkvo"]
    expected = {f"{name}.lora_{matrix}.default.weight" for name in projections for matrix in "AB"}
    assert trained == expected | {"embed_summary.weight"}


def test_training_goes_on_from_an_encoder(tmp_path: Path) -> None:
    source = str(write_base(tmp_path / "base"))
    module = training_module(source, objective_config(), None)
    train(module)
    export_checkpoint(merged_encoder(module, source, LENGTH), tmp_path / "out")
    again = training_module(str(tmp_path / "out"), objective_config(), None)
    assert all(torch.equal(tensor, module.state_dict()[name]) for name, tensor in again.state_dict().items())
    with pytest.raises(CheckpointError, match="has 3 summary vectors per segment, not summary_length 4"):
        training_module(str(tmp_path / "out"), objective_config(summary_length=4), None)


def test_a_new_summary_embedding_follows_the_seed_and_the_tokens_spread(tmp_path: Path) -> None:
    source = str(write_base(tmp_path / "base"))
    first, same, other = (
        training_module(source, objective_config(summary_length=50), None, seed=seed).embed_summary.weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert first.std().item() == pytest.approx(tiny_model().get_input_embeddings().weight.std().item(), rel=0.05)
