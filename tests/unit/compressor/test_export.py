"""Every exported layout loads back to the same vectors; the base layout is what servers of language models load."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_checkpoints import BASES, SUMMARY, Tiny, document
from transformers import AutoModelForCausalLM

from lloco_core.compressor import load_encoder
from lloco_core.compressor.export import export_checkpoint
from lloco_core.errors import CheckpointError

INT8_COSINE = 0.99
"""Vectors of the int8 layout against those of the float32 it was made from, worst vector, on random weights."""
DOCUMENTS = [document(90), document(33)]
Checkpoint = Callable[..., Tiny]


def encoded(folder: Path) -> torch.Tensor:
    return torch.cat(load_encoder(str(folder), segment_length=40).encode(DOCUMENTS))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("layout", ["safetensors", "bin"])
@pytest.mark.parametrize("shard", ["5GB", "40KB"])
def test_exact_layouts_load_back(checkpoint: Checkpoint, tmp_path: Path, base: str, layout: str, shard: str) -> None:
    folder = checkpoint(base).folder
    export_checkpoint(load_encoder(str(folder)), tmp_path / "out", layout, max_shard_size=shard)
    assert torch.equal(encoded(tmp_path / "out"), encoded(folder))
    stem = {"safetensors": "model", "bin": "pytorch_model"}[layout]
    files = {path.name for path in (tmp_path / "out").iterdir()} - {"config.json"}
    if shard == "5GB":
        assert files == {f"{stem}.{layout}"}
    else:
        index = json.loads((tmp_path / "out" / f"{stem}.{layout}.index.json").read_text())
        assert files == {f"{stem}.{layout}.index.json", *index["weight_map"].values()}
        assert len(files) > 3
        assert "embed_summary.weight" in index["weight_map"]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("shard", ["5GB", "40KB"])
def test_int8_loads_back_close_and_small(checkpoint: Checkpoint, tmp_path: Path, base: str, shard: str) -> None:
    folder = checkpoint(base).folder
    export_checkpoint(load_encoder(str(folder)), tmp_path / "out", "int8", max_shard_size=shard)
    assert torch.cosine_similarity(encoded(tmp_path / "out"), encoded(folder), dim=-1).min() > INT8_COSINE
    size = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.safetensors"))
    assert size < 0.4 * (folder / "model.safetensors").stat().st_size


def test_int8_is_within_a_step_of_every_weight(checkpoint: Checkpoint, tmp_path: Path) -> None:
    tiny = checkpoint()
    export_checkpoint(load_encoder(str(tiny.folder)), tmp_path / "out", "int8")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    loaded = load_encoder(str(tmp_path / "out")).model.state_dict()
    matrices = [key for key in stored if stored[key].dtype == torch.int8]
    assert len(matrices) == 2 * 7 + 2  # 7 projections per layer, embeddings, and the untied output layer
    for key in matrices:
        step = tiny.model.state_dict()[key].abs().amax(dim=1, keepdim=True) / 127
        assert ((loaded[key] - tiny.model.state_dict()[key]).abs() <= 1.0001 * step).all()


def test_training_that_goes_on_from_int8_is_not_rounded_away(checkpoint: Checkpoint, tmp_path: Path) -> None:
    key, share = "model.layers.0.mlp.up_proj.weight", 0.2
    export_checkpoint(load_encoder(str(checkpoint().folder)), tmp_path / "first", "int8")
    encoder = load_encoder(str(tmp_path / "first"))
    first, weights = encoder.model.state_dict()[key].clone(), encoder.model.state_dict()[key]
    step = first.abs().amax(dim=1, keepdim=True) / 127
    weights += share * step * (first.abs() < 126.5 * step)  # the largest of a row stay, and with them its scale
    export_checkpoint(encoder, tmp_path / "second", "int8")
    moved = (load_encoder(str(tmp_path / "second")).model.state_dict()[key] - first) / step
    assert moved.mean().item() == pytest.approx(share, abs=0.04)


def test_the_same_weights_give_the_same_int8_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    encoder = load_encoder(str(checkpoint().folder))
    files = [tmp_path / name / "model.safetensors" for name in ("one", "two")]
    for file in files:
        export_checkpoint(encoder, file.parent, "int8")
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("base", BASES)
def test_the_base_layout_is_a_stock_model(checkpoint: Checkpoint, tmp_path: Path, base: str) -> None:
    tiny = checkpoint(base)
    export_checkpoint(load_encoder(str(tiny.folder)), tmp_path / "out", "base")
    stock, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(stock) is type(tiny.model)
    ids = torch.tensor([document(50)])
    assert (stock(ids).logits - tiny.model(ids).logits).abs().max() < 1e-4
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == [type(tiny.model).__name__]
    assert not {"summary_length", "accumulate_summary", "segment_length"} & config.keys()
    with pytest.raises(CheckpointError, match="is not a context encoder"):
        load_encoder(str(tmp_path / "out"))


def test_the_published_names(checkpoint: Checkpoint, tmp_path: Path) -> None:
    tiny = checkpoint("llama_untied", accumulate=False)
    export_checkpoint(load_encoder(str(tiny.folder), segment_length=77), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == ["LlamaAutoCompressorModel"]
    assert (config["model_type"], config["summary_length"], config["accumulate_summary"]) == ("llama", SUMMARY, False)
    assert (config["segment_length"], config["dtype"]) == (77, "float32")
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert weights.keys() == {*tiny.model.state_dict(), "embed_summary.weight"}
    assert torch.equal(weights["embed_summary.weight"], tiny.summary_SH)
    again = load_encoder(str(tmp_path / "out"))
    assert (again.segment_length, again.accumulate) == (77, False)


def test_rotary_settings_and_number_format_survive(checkpoint: Checkpoint, tmp_path: Path) -> None:
    scaling = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    folder = checkpoint("llama_gqa", rope_parameters=scaling | {"original_max_position_embeddings": 64}).folder
    encoder = load_encoder(str(folder), dtype="bfloat16")
    export_checkpoint(encoder, tmp_path / "out")
    assert {tensor.dtype for tensor in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}
    again = load_encoder(str(tmp_path / "out"), dtype="bfloat16")
    assert torch.equal(again.encode([document(60)])[0], encoder.encode([document(60)])[0])
    assert again.model.config.rope_parameters["rope_type"] == "llama3"


def test_the_tokenizer_goes_along(checkpoint: Checkpoint, tmp_path: Path) -> None:
    tiny = checkpoint(vocab_size=8192, tokenizer=True)
    encoder = load_encoder(str(tiny.folder))
    export_checkpoint(encoder, tmp_path / "out", "int8")
    assert load_encoder(str(tmp_path / "out")).tokenize("Naïve </s>")[0].tolist() == encoder.tokenize("Naïve </s>")[0].tolist()


def test_a_folder_with_something_in_it_is_not_overwritten(checkpoint: Checkpoint) -> None:
    tiny = checkpoint()
    before = (tiny.folder / "model.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="is not empty"):
        export_checkpoint(load_encoder(str(tiny.folder)), tiny.folder, "int8")
    assert (tiny.folder / "model.safetensors").read_bytes() == before
