"""ICAE folders on disk: what loads, what is refused with which words, and what names an encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import HIDDEN, document

from lloco_core.compressor import load_encoder
from lloco_core.compressor.checkpoint import checkpoint_digest
from lloco_core.compressor.export import export_checkpoint
from lloco_core.compressor.icae_checkpoint import icae_digest
from lloco_core.compressor.loading import describe_encoder, encoder_identity, tokenizer_folder
from lloco_core.errors import CheckpointError
from tests.unit.compressor.tiny_icae import MEMORY, PUBLISHED_NAME, RANK, TinyIcae, expected_slots, write_icae_folder

Q0 = "icae.base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"
V1 = "icae.base_model.model.model.layers.1.self_attn.v_proj.lora_B.default.weight"
MEMORY_KEY = "memory_token_embed.weight"


@pytest.fixture
def tiny(tmp_path: Path) -> TinyIcae:
    return write_icae_folder(tmp_path / "icae")


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value != "absent"}))


def edit_weights(folder: Path, changes: dict[str, torch.Tensor | None]) -> None:
    weights = load_file(folder / PUBLISHED_NAME) | changes
    save_file({key: tensor for key, tensor in weights.items() if tensor is not None}, folder / PUBLISHED_NAME)


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_encoder(str(folder))
    return str(caught.value)


def test_the_published_keys_and_formats_load(tiny: TinyIcae) -> None:
    stored = load_file(tiny.folder / PUBLISHED_NAME)
    assert len(stored) == 2 * 2 * 2 + 1
    assert (stored[Q0].dtype, stored[MEMORY_KEY].dtype) == (torch.bfloat16, torch.float32)
    assert stored[V1].shape == (2 * 8, RANK)  # grouped-query: two heads of 8 for the values
    (slots,) = load_encoder(str(tiny.folder)).encode([document(90)])
    assert (slots - expected_slots(tiny, document(90))).abs().max() < 1e-4


def test_the_base_model_lies_anywhere(tiny: TinyIcae, tmp_path: Path) -> None:
    before = load_encoder(str(tiny.folder))
    shutil.move(tiny.folder / "base", tmp_path / "elsewhere")
    edit_config(tiny.folder, base_model=str(tmp_path / "elsewhere"))
    icae_digest.cache_clear()
    moved = load_encoder(str(tiny.folder))
    assert torch.equal(moved.encode([document(50)])[0], before.encode([document(50)])[0])
    assert moved.fingerprint == before.fingerprint
    assert tokenizer_folder(str(tiny.folder)) == tmp_path / "elsewhere"


def test_an_autocompressor_serves_as_base_model(tmp_path: Path) -> None:
    """Its language model does; the summary embedding is left out."""
    tiny = write_icae_folder(tmp_path / "icae")
    weights = load_file(tiny.folder / "base" / "model.safetensors")
    save_file(weights | {"embed_summary.weight": torch.zeros(4, HIDDEN)}, tiny.folder / "base" / "model.safetensors")
    (slots,) = load_encoder(str(tiny.folder)).encode([document(50)])
    assert (slots - expected_slots(tiny, document(50))).abs().max() < 1e-4


def test_weights_without_a_base_model(tiny: TinyIcae) -> None:
    (tiny.folder / "config.json").unlink()
    message = refusal(tiny.folder)
    assert f"{PUBLISHED_NAME} is of an ICAE, whose base model it does not name; write config.json beside it" in message
    shutil.copyfile(tiny.folder / "base" / "config.json", tiny.folder / "config.json")
    assert refusal(tiny.folder) == message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_model": "absent"}, "base_model: Field required"),
        ({"lora_alpha": "absent"}, "lora_alpha: Field required"),
        ({"memory_tokens": 0}, "memory_tokens: Input should be greater than or equal to 1"),
        ({"lloco_encoder": "gist"}, "lloco_encoder: Input should be 'icae'"),
        ({"lora_rank": 4}, "lora_rank: Extra inputs are not permitted"),
    ],
)
def test_a_config_that_describes_no_icae(tiny: TinyIcae, changes: dict[str, object], words: str) -> None:
    edit_config(tiny.folder, **changes)
    message = refusal(tiny.folder)
    assert "config.json does not describe an ICAE" in message
    assert words in message


def test_a_base_model_that_is_not_there(tiny: TinyIcae) -> None:
    edit_config(tiny.folder, base_model="./nowhere")
    assert "config.json: base_model './nowhere' cannot be found" in refusal(tiny.folder)
    with pytest.raises(CheckpointError, match="cannot be found"):
        encoder_identity(str(tiny.folder), "float32", None)


def test_no_weight_file_or_several(tiny: TinyIcae) -> None:
    shutil.copyfile(tiny.folder / PUBLISHED_NAME, tiny.folder / "mistral_7b_pretrained_icae.safetensors")
    assert f"found {PUBLISHED_NAME}, mistral_7b_pretrained_icae.safetensors; name it as `weights`" in refusal(tiny.folder)
    edit_config(tiny.folder, weights=PUBLISHED_NAME)
    assert load_encoder(str(tiny.folder)).summary_length == MEMORY
    edit_config(tiny.folder, weights="absent.safetensors")
    assert "expected one weight file" in refusal(tiny.folder)


def test_missing_and_unexpected_keys(tiny: TinyIcae) -> None:
    edit_weights(tiny.folder, {Q0: None})
    assert f"missing keys ['{Q0}'] (1), unexpected keys [] (0); an ICAE on a base model of 2 layers has 9 keys" in refusal(tiny.folder)
    edit_weights(tiny.folder, {Q0: tiny.tensors[Q0], Q0.replace("layers.0", "layers.2"): tiny.tensors[Q0].clone()})
    assert "missing keys [] (0), unexpected keys ['icae.base_model.model.model.layers.2" in refusal(tiny.folder)


@pytest.mark.parametrize(
    ("key", "shape", "expected"),
    [
        (MEMORY_KEY, (MEMORY, HIDDEN), (MEMORY + 3, HIDDEN)),
        (MEMORY_KEY, (MEMORY + 3, HIDDEN // 2), (MEMORY + 3, HIDDEN)),
        (Q0, (RANK, HIDDEN + 1), (RANK, HIDDEN)),
        (V1, (HIDDEN, RANK), (16, RANK)),
        (V1, (16, RANK + 1), (16, RANK)),
    ],
)
def test_wrong_shapes(tiny: TinyIcae, key: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    edit_weights(tiny.folder, {key: torch.zeros(shape)})
    message = refusal(tiny.folder)
    assert f"{key} has shape {shape}, expected {expected}" in message
    assert f"hidden size {HIDDEN}, config.json says memory_tokens {MEMORY}" in message


def test_numbers_that_are_not_finite(tiny: TinyIcae) -> None:
    edit_weights(tiny.folder, {MEMORY_KEY: torch.full((MEMORY + 3, HIDDEN), torch.nan)})
    assert f"{MEMORY_KEY} holds values that are not finite" in refusal(tiny.folder)


def test_truncated_weights(tiny: TinyIcae) -> None:
    data = (tiny.folder / PUBLISHED_NAME).read_bytes()
    (tiny.folder / PUBLISHED_NAME).write_bytes(data[: len(data) // 2])
    assert f"{PUBLISHED_NAME} cannot be read" in refusal(tiny.folder)


Change = Callable[[Path], None]


def _another_alpha(folder: Path) -> None:
    edit_config(folder, lora_alpha=16)


def _other_weights(folder: Path) -> None:
    edit_weights(folder, {MEMORY_KEY: torch.zeros(MEMORY + 3, HIDDEN)})


def _another_base(folder: Path) -> None:
    edit_config(folder / "base", rms_norm_eps=1e-3)


@pytest.mark.parametrize("change", [_another_alpha, _other_weights, _another_base])
def test_the_fingerprint_names_all_that_the_slots_depend_on(tiny: TinyIcae, change: Change) -> None:
    before = load_encoder(str(tiny.folder)).fingerprint
    assert encoder_identity(str(tiny.folder), "float32", None).fingerprint == before
    assert encoder_identity(str(tiny.folder), "bfloat16", None).fingerprint != before
    change(tiny.folder)
    icae_digest.cache_clear()
    checkpoint_digest.cache_clear()
    assert encoder_identity(str(tiny.folder), "float32", None).fingerprint != before


def test_it_is_described_and_not_exported(tiny: TinyIcae, tmp_path: Path) -> None:
    assert describe_encoder(str(tiny.folder)).startswith("icae on mistral, 2 layers of 64, 2 files, ")
    with pytest.raises(CheckpointError, match="no AutoCompressor"):
        export_checkpoint(load_encoder(str(tiny.folder)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
