"""Which files of a folder or a repository are taken as weights: repositories carry other sets beside those that transformers loads."""

from __future__ import annotations

import fnmatch
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import Tiny, document, expected_vectors

from lloco_core.compressor import load_encoder
from lloco_core.compressor.checkpoint import checkpoint_digest
from lloco_core.compressor.loading import describe_encoder
from lloco_core.doctor import run_checks
from lloco_core.errors import CheckpointError
from lloco_core.fingerprint import digest, file_digest
from tests.unit.compressor.tiny_icae import MEMORY, PUBLISHED_NAME, write_icae_folder

Checkpoint = Callable[..., Tiny]
Shards = dict[str, dict[str, torch.Tensor]]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def in_two(weights: dict[str, torch.Tensor], name: str) -> Shards:
    keys = sorted(weights)
    return {name.format(number + 1): {key: weights[key] for key in keys[number::2]} for number in (0, 1)}


def write_index(folder: Path, name: str, shards: Shards) -> None:
    where = {key: file for file, tensors in shards.items() for key in tensors}
    (folder / f"{name}.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))


def one_safetensors(folder: Path) -> list[str]:
    return ["model.safetensors"]


def shards_of_safetensors(folder: Path) -> list[str]:
    shards = in_two(weights_of(folder), "model-0000{}-of-00002.safetensors")
    for name, tensors in shards.items():
        save_file(tensors, folder / name)
    write_index(folder, "model.safetensors", shards)
    (folder / "model.safetensors").unlink()
    return sorted(shards)


def shards_under_other_names(folder: Path) -> list[str]:
    shards = in_two(weights_of(folder), "part{}.safetensors")
    for name, tensors in shards.items():
        save_file(tensors, folder / name)
    write_index(folder, "model.safetensors", shards)
    (folder / "model.safetensors").unlink()
    return sorted(shards)


def one_bin(folder: Path) -> list[str]:
    torch.save(weights_of(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return ["pytorch_model.bin"]


def shards_of_bin(folder: Path) -> list[str]:
    shards = in_two(weights_of(folder), "pytorch_model-0000{}-of-00002.bin")
    for name, tensors in shards.items():
        torch.save(tensors, folder / name)
    write_index(folder, "pytorch_model.bin", shards)
    (folder / "model.safetensors").unlink()
    return sorted(shards)


def shards_without_an_index(folder: Path) -> list[str]:
    names = shards_of_safetensors(folder)
    (folder / "model.safetensors.index.json").unlink()
    return names


def another_name(folder: Path) -> list[str]:
    (folder / "model.safetensors").rename(folder / "encoder.safetensors")
    return ["encoder.safetensors"]


LAYOUTS = [
    one_safetensors,
    shards_of_safetensors,
    shards_under_other_names,
    one_bin,
    shards_of_bin,
    shards_without_an_index,
    another_name,
]


def put_beside(folder: Path) -> None:
    """What public repositories of LLaMA and Mistral models and training runs have beside the weights."""
    foreign = {"layers.0.attention.wq.weight": torch.zeros(2, 2), "tok_embeddings.weight": torch.zeros(2, 2)}
    for name in (
        "consolidated.safetensors",
        "consolidated-00001-of-00002.safetensors",
        "adapter_model.safetensors",
        "optimizer.safetensors",
    ):
        save_file(foreign, folder / name)
    (folder / "original").mkdir()
    save_file(foreign, folder / "original" / "model.safetensors")
    for name in ("training_args.bin", "optimizer.bin", "scheduler.bin", "adapter_model.bin", "consolidated.00.pth", "ggml-model.gguf"):
        (folder / name).write_bytes(b"not weights of this model")
    write_index(folder, "consolidated.safetensors", {"consolidated.safetensors": foreign})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_files_beside_the_weights_change_nothing(checkpoint: Checkpoint, layout: Callable[[Path], list[str]]) -> None:
    tiny = checkpoint()
    names = layout(tiny.folder)
    alone = checkpoint_digest(tiny.folder)
    put_beside(tiny.folder)
    (vectors,) = load_encoder(str(tiny.folder)).encode([document(30)])
    assert (vectors - expected_vectors(tiny, document(30), 30)).abs().max() < 1e-4
    checkpoint_digest.cache_clear()
    assert checkpoint_digest(tiny.folder) == alone
    assert describe_encoder(str(tiny.folder)).endswith(f" MB: {', '.join(names)}")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_fingerprint_is_of_the_files_that_are_loaded(checkpoint: Checkpoint, layout: Callable[[Path], list[str]]) -> None:
    folder = checkpoint().folder
    read = [name for name in ["config.json", "tokenizer.json", *layout(folder)] if (folder / name).is_file()]
    assert checkpoint_digest(folder) == digest({name: file_digest(folder / name) for name in read})


def test_what_is_taken_where_there_are_several_sets(checkpoint: Checkpoint) -> None:
    """Index of safetensors, one safetensors file, index of .bin, one .bin: each set is damaged in turn, and then taken away."""
    folder = checkpoint().folder
    whole = weights_of(folder)
    shards_of_bin(folder)
    torch.save(whole, folder / "pytorch_model.bin")
    save_file(whole, folder / "model.safetensors")
    shards_of_safetensors(folder)
    save_file(whole, folder / "model.safetensors")
    for index, names in (
        ("model.safetensors.index.json", ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]),
        ("", ["model.safetensors"]),
        ("pytorch_model.bin.index.json", ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]),
        ("", ["pytorch_model.bin"]),
    ):
        assert describe_encoder(str(folder)).endswith(f" MB: {', '.join(names)}")
        load_encoder(str(folder))
        (folder / names[-1]).write_bytes(b"damaged")
        with pytest.raises(CheckpointError, match=f"{names[-1]} cannot be read"):
            load_encoder(str(folder))
        (folder / names[-1]).unlink()
        if index:
            with pytest.raises(CheckpointError, match=f"{index} names 1 absent files, first {names[-1]}; download them"):
                load_encoder(str(folder))
            (folder / index).unlink()
            (folder / names[0]).unlink()


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "deep/model.safetensors", 3])
def test_an_index_that_names_no_file_beside_it(checkpoint: Checkpoint, name: object) -> None:
    folder = checkpoint().folder
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"model.norm.weight": name}}))
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json is no index of weight files"):
        load_encoder(str(folder))


@pytest.mark.parametrize("name", ["consolidated.safetensors", "adapter_model.safetensors", "consolidated.00.pth"])
def test_a_folder_with_weights_of_another_kind_only(checkpoint: Checkpoint, name: str) -> None:
    folder = checkpoint().folder
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(CheckpointError, match=f"holds no weights: .*{name} is of another kind"):
        load_encoder(str(folder))


def test_an_icae_beside_which_other_files_lie(tmp_path: Path) -> None:
    tiny = write_icae_folder(tmp_path / "icae")
    put_beside(tiny.folder)
    put_beside(tiny.folder / "base")
    assert load_encoder(str(tiny.folder)).summary_length == MEMORY
    assert describe_encoder(str(tiny.folder)).endswith(f" MB: {PUBLISHED_NAME}, base/model.safetensors")


def test_an_icae_s_weights_beside_a_language_model_are_not_its_own(tmp_path: Path, checkpoint: Checkpoint) -> None:
    icae, folder = write_icae_folder(tmp_path / "icae").folder, checkpoint().folder
    shutil.copyfile(icae / PUBLISHED_NAME, folder / PUBLISHED_NAME)
    assert describe_encoder(str(folder)).endswith(" MB: model.safetensors")
    load_encoder(str(folder))


def test_the_doctor_names_the_files(checkpoint: Checkpoint) -> None:
    folder = checkpoint().folder
    names = shards_of_safetensors(folder)
    put_beside(folder)
    found = next(check for check in run_checks(None, str(folder)) if check.name == "model")
    assert found.ok
    assert found.detail.endswith(", ".join(names))
    (folder / names[0]).unlink()
    found = next(check for check in run_checks(None, str(folder)) if check.name == "model")
    assert not found.ok
    assert names[0] in found.detail


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_weights_are_fetched_from_the_hub(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Callable[[Path], list[str]]
) -> None:
    repository, cache = checkpoint().folder, tmp_path / "cache"
    names = layout(repository)
    put_beside(repository)
    cache.mkdir()

    def snapshot_download(name: str, allow_patterns: list[str], ignore_patterns: list[str] | None = None) -> str:
        for path in repository.rglob("*"):
            key = path.relative_to(repository).as_posix()
            wanted = any(fnmatch.fnmatch(key, pattern) for pattern in allow_patterns)
            if path.is_file() and wanted and not any(fnmatch.fnmatch(key, pattern) for pattern in ignore_patterns or ()):
                (cache / key).parent.mkdir(exist_ok=True)
                shutil.copyfile(path, cache / key)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    load_encoder("owner/model")
    weights = {path.name for path in cache.iterdir() if path.suffix in (".safetensors", ".bin")}
    assert weights == set(names)
