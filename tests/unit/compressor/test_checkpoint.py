"""Reading checkpoints: the published layout, damaged and foreign files, files that run code, and the hub without a network."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import HIDDEN, SUMMARY, Tiny, document, expected_vectors, random_model, stored_tensors, write_config

from lloco_core.compressor import load_encoder, locate_checkpoint
from lloco_core.compressor.loading import encoder_identity
from lloco_core.errors import CheckpointError, ConfigurationError

Checkpoint = Callable[..., Tiny]


class RunsCode:
    """Unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value != "absent"}))


def edit_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    """Replace tensors of model.safetensors; None removes one. `__` stands for the dot of a key."""
    weights = load_file(folder / "model.safetensors") | {key.replace("__", "."): tensor for key, tensor in changes.items()}
    save_file({key: tensor for key, tensor in weights.items() if tensor is not None}, folder / "model.safetensors")


def refusal(folder: Path | str) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_encoder(str(folder))
    return str(caught.value)


def test_the_published_layout(tmp_path: Path) -> None:
    """Sharded .bin in bf16, top-level `rope_theta`, `embed_summary.weight` beside the LLaMA keys, old rotary buffers."""
    model = random_model("llama_untied", rope_parameters={"rope_type": "default", "rope_theta": 300.0})
    model.load_state_dict({key: tensor.bfloat16().float() for key, tensor in model.state_dict().items()})
    tiny = Tiny(tmp_path, model, torch.randn(SUMMARY, HIDDEN).bfloat16().float())
    write_config(tmp_path, model, rope_parameters="absent", rope_theta=300.0, torch_dtype="bfloat16", transformers_version="4.31.0")
    weights = {key: tensor.bfloat16() for key, tensor in stored_tensors(model, tiny.summary_SH).items()}
    weights |= {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(4) for layer in (0, 1)}
    names = {key: f"pytorch_model-0000{1 + number % 2}-of-00002.bin" for number, key in enumerate(weights)}
    for name in set(names.values()):
        torch.save({key: tensor for key, tensor in weights.items() if names[key] == name}, tmp_path / name)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    encoder = load_encoder(str(tmp_path), segment_length=40)
    assert (encoder.summary_length, encoder.hidden_size, encoder.accumulate) == (SUMMARY, HIDDEN, True)
    assert (encoder.encode([document(90)])[0] - expected_vectors(tiny, document(90), 40)).abs().max() < 1e-4
    default_theta = random_model("llama_untied")
    default_theta.load_state_dict(model.state_dict())
    other = expected_vectors(Tiny(tmp_path, default_theta, tiny.summary_SH), document(90), 40)
    assert (encoder.encode([document(90)])[0] - other).abs().max() > 0.1  # rope_theta was read


def test_an_old_rotary_buffer_is_ignored(checkpoint: Checkpoint) -> None:
    tiny = checkpoint()
    edit_weights(tiny.folder, model__layers__0__self_attn__rotary_emb__inv_freq=torch.zeros(4))
    (vectors,) = load_encoder(str(tiny.folder)).encode([document(30)])
    assert (vectors - expected_vectors(tiny, document(30), 30)).abs().max() < 1e-4


def test_safetensors_are_preferred_to_bin(checkpoint: Checkpoint) -> None:
    tiny = checkpoint()
    (tiny.folder / "pytorch_model.bin").write_bytes(b"never read")
    assert load_encoder(str(tiny.folder)).summary_length == SUMMARY


@pytest.mark.parametrize("how", ["torch.save", "pickle"])
def test_a_bin_file_that_runs_code_is_refused(checkpoint: Checkpoint, tmp_path: Path, how: str) -> None:
    tiny = checkpoint()
    (tiny.folder / "model.safetensors").unlink()
    weights, path = {"embed_summary.weight": RunsCode(tmp_path / "it_ran")}, tiny.folder / "pytorch_model.bin"
    torch.save(weights, path) if how == "torch.save" else path.write_bytes(pickle.dumps(weights))
    assert "pytorch_model.bin" in refusal(tiny.folder)
    assert not (tmp_path / "it_ran").exists()
    if how == "pickle":  # the file does what the test says it does
        pickle.loads(path.read_bytes())
        assert (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("content", [[torch.ones(2)], {"state_dict": {"embed_summary.weight": torch.ones(2, 2)}}], ids=["list", "nested"])
def test_a_bin_file_that_is_no_state_dict(checkpoint: Checkpoint, content: object) -> None:
    tiny = checkpoint()
    (tiny.folder / "model.safetensors").unlink()
    torch.save(content, tiny.folder / "pytorch_model.bin")
    assert "state_dict" in refusal(tiny.folder)


def test_a_folder_without_config(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} is no checkpoint: config.json is missing"


@pytest.mark.parametrize("text", ["{", "[1, 2]", ""])
def test_a_config_that_is_no_json_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert "is not a JSON object" in refusal(tmp_path)


@pytest.mark.parametrize("model_type", ["gpt2", None])
def test_an_unsupported_model_type_names_the_supported(checkpoint: Checkpoint, model_type: str | None) -> None:
    folder = checkpoint().folder
    edit_config(folder, model_type=model_type)
    message = refusal(folder)
    assert repr(model_type) in message
    assert "llama, mistral, qwen2, qwen3" in message


def test_a_plain_language_model(checkpoint: Checkpoint) -> None:
    folder = checkpoint().folder
    edit_weights(folder, embed_summary__weight=None)
    assert "is not a context encoder: embed_summary.weight is missing among 21 tensors" in refusal(folder)


@pytest.mark.parametrize("shape", [(SUMMARY, HIDDEN // 2), (SUMMARY + 1, HIDDEN), (SUMMARY * HIDDEN,)])
def test_a_summary_embedding_of_another_shape(checkpoint: Checkpoint, shape: tuple[int, ...]) -> None:
    folder = checkpoint().folder
    edit_weights(folder, embed_summary__weight=torch.zeros(shape))
    message = refusal(folder)
    assert str(shape) in message
    assert str((SUMMARY, HIDDEN)) in message


@pytest.mark.parametrize("value", ["absent", None, 0, "4 vectors"])
def test_a_config_without_a_summary_length(checkpoint: Checkpoint, value: object) -> None:
    folder = checkpoint().folder
    edit_config(folder, summary_length=value)
    assert "summary_length" in refusal(folder)
    with pytest.raises(CheckpointError, match="summary_length"):
        encoder_identity(str(folder), "float32", None)


def test_weights_of_another_shape_missing_and_unexpected_keys(checkpoint: Checkpoint) -> None:
    wrong_shape, missing, unexpected = (checkpoint().folder for _ in range(3))
    edit_weights(wrong_shape, model__norm__weight=torch.ones(HIDDEN + 1))
    assert "model.norm.weight" in refusal(wrong_shape)
    edit_weights(missing, lm_head__weight=None)
    assert "missing keys ['lm_head.weight'] (1), unexpected keys [] (0)" in refusal(missing)
    edit_weights(unexpected, model__layers__2__input_layernorm__weight=torch.ones(HIDDEN))
    assert "unexpected keys ['model.layers.2.input_layernorm.weight'] (1)" in refusal(unexpected)


def test_int8_without_its_scale(checkpoint: Checkpoint) -> None:
    folder = checkpoint().folder
    edit_weights(folder, lm_head__weight=torch.zeros(211, HIDDEN, dtype=torch.int8))
    assert "lm_head.weight_scale" in refusal(folder)


def test_no_weights_at_all(checkpoint: Checkpoint) -> None:
    folder = checkpoint().folder
    (folder / "model.safetensors").unlink()
    (folder / "training_args.bin").write_bytes(b"not weights")
    assert "holds no weights" in refusal(folder)


def test_a_shard_that_the_index_names_is_missing(checkpoint: Checkpoint) -> None:
    folder = checkpoint().folder
    shards = {"lm_head.weight": "model-00002-of-00002.safetensors", "model.norm.weight": "model.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert "names 1 absent files, first model-00002-of-00002.safetensors" in refusal(folder)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"weight_map": 3}'])
def test_a_damaged_index(checkpoint: Checkpoint, text: str) -> None:
    folder = checkpoint().folder
    (folder / "model.safetensors.index.json").write_text(text)
    assert "model.safetensors.index.json is no index of weight files" in refusal(folder)


@pytest.mark.parametrize("keep", [0, 4, 200, 0.5, 0.999])
def test_truncated_weights(checkpoint: Checkpoint, keep: float) -> None:
    folder = checkpoint().folder
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    assert "model.safetensors cannot be read" in refusal(folder)
    (folder / "model.safetensors").unlink()
    torch.save({"embed_summary.weight": torch.zeros(SUMMARY, HIDDEN)}, folder / "pytorch_model.bin")
    data = (folder / "pytorch_model.bin").read_bytes()
    (folder / "pytorch_model.bin").write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    assert "pytorch_model.bin cannot be read" in refusal(folder)


def test_a_number_format_that_is_not_supported(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigurationError, match="'int4' is not supported; use float32, bfloat16, or float16"):
        load_encoder(str(checkpoint().folder), dtype="int4")


@pytest.mark.parametrize(
    "name", ["no-such-folder", "/no/such/folder", "./owner/model", "a/b/c", "~/no-such-folder", "own er/mo del", "a..b/c"]
)
def test_a_name_that_is_neither_folder_nor_hub_name(name: str) -> None:
    with pytest.raises(CheckpointError, match="is neither a folder nor a hub name of the form owner/model") as caught:
        locate_checkpoint(name)
    assert repr(name) in str(caught.value)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub at a port where nobody listens; waiting between its retries is skipped."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return tmp_path / "hub"


@pytest.mark.parametrize("offline", [True, False], ids=["HF_HUB_OFFLINE", "unreachable"])
def test_a_hub_name_without_network_and_cache(hub_cache: Path, monkeypatch: pytest.MonkeyPatch, offline: bool) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(CheckpointError, match="'nobody/no-such-model': not in the local cache"):
        locate_checkpoint("nobody/no-such-model")


@pytest.mark.parametrize("offline", [True, False], ids=["HF_HUB_OFFLINE", "unreachable"])
@pytest.mark.parametrize("layout", ["safetensors", "bin"])
def test_a_cached_hub_model_needs_no_network(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint, offline: bool, layout: str
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    tiny, commit, repository = checkpoint(), "0" * 40, hub_cache / "models--owner--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    if layout == "bin":
        torch.save(load_file(tiny.folder / "model.safetensors"), tiny.folder / "pytorch_model.bin")
        (tiny.folder / "model.safetensors").unlink()
    (repository / "snapshots").mkdir()
    tiny.folder.rename(repository / "snapshots" / commit)
    (vectors,) = load_encoder("owner/tiny").encode([document(20)])
    assert (vectors - expected_vectors(tiny, document(20), 20)).abs().max() < 1e-4
