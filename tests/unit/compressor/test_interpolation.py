"""An encoder between two, from the library and from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import BASES, Tiny
from typer.testing import CliRunner

from lloco_core.cli import app
from lloco_core.compressor import load_encoder
from lloco_core.compressor.interpolation import interpolate
from lloco_core.errors import CheckpointError, ConfigurationError

Checkpoint = Callable[..., Tiny]


def moved(folder: Path, target: Path, by: float) -> Path:
    """A copy with every weight moved, as training would."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    weights = load_file(target / "model.safetensors")
    save_file({name: tensor + by for name, tensor in weights.items()}, target / "model.safetensors", {"format": "pt"})
    return target


@pytest.mark.parametrize("base", BASES)
def test_every_weight_is_moved_by_the_share(checkpoint: Checkpoint, tmp_path: Path, base: str) -> None:
    start = checkpoint(base).folder
    trained = moved(start, tmp_path / "trained", 0.5)
    options = ["--model", str(trained), "--start", str(start), "--share", "0.25", "--layout", "safetensors"]
    done = CliRunner().invoke(app, ["export", str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    before, found = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "out"))
    assert found.keys() == before.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(found[name], tensor + 0.125, atol=1e-6, rtol=0)


def test_a_share_of_nothing_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path / "out"), "--model", str(checkpoint().folder), "--share", "0.5"])
    assert "--share 0.5 needs --start" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_both_ends_are_the_encoders(checkpoint: Checkpoint, tmp_path: Path) -> None:
    start = load_encoder(str(checkpoint().folder))
    trained = load_encoder(str(moved(start.folder, tmp_path / "trained", 0.01)))
    ids = torch.arange(3, 33).numpy()
    for share, end in ((0, start), (1, trained)):
        torch.testing.assert_close(interpolate(start, trained, share).encode([ids])[0], end.encode([ids])[0], atol=1e-5, rtol=1e-5)


def test_what_does_not_fit_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    tiny, other = (load_encoder(str(checkpoint(base).folder)) for base in list(BASES)[:2])
    with pytest.raises(ConfigurationError, match=r"share 1\.5 is not within 0 and 1"):
        interpolate(tiny, tiny, 1.5)
    with pytest.raises(CheckpointError, match=r" in .*; give the encoder that the training started from"):
        interpolate(tiny, other, 0.5)
