"""An encoder as a change of its base: small, exact up to its rank, and only with the base it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import SUMMARY, write_checkpoint
from typer.testing import CliRunner

from lloco_core.cli import app
from lloco_core.compressor import load_encoder
from lloco_core.compressor.checkpoint import checkpoint_digest, delta_base, weights_digest
from lloco_core.compressor.delta import add_delta, delta_of, read_record
from lloco_core.compressor.export import export_checkpoint, export_delta
from lloco_core.compressor.loading import describe_encoder, encoder_identity
from lloco_core.errors import CheckpointError

DOCUMENT = [list(range(3, 90))]


@pytest.fixture(autouse=True)
def fresh_digests() -> None:
    for made in (checkpoint_digest, weights_digest, delta_base):
        made.cache_clear()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A base, and an encoder whose matrices differ from it by rank 3, whose norms and summary embedding differ freely."""
    base = write_checkpoint(tmp_path / "base", tokenizer=True, vocab_size=8192)
    encoder = load_encoder(str(base.folder))
    generator = torch.Generator().manual_seed(1)
    for name, parameter in encoder.model.named_parameters():
        if "layers" in name and parameter.ndim == 2:
            left, right = (torch.randn(size, 3, generator=generator) for size in parameter.shape)
            parameter.data += 0.02 * left @ right.T
        elif "norm" in name:
            parameter.data = (parameter.data + 0.1).bfloat16().float()
    encoder.summary_SH.copy_(torch.randn(SUMMARY, encoder.hidden_size, generator=generator).bfloat16())
    export_checkpoint(encoder, tmp_path / "trained")
    return base.folder, tmp_path / "trained"


def test_a_change_of_low_rank_is_kept_and_the_vectors_stay(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = folders
    encoder = load_encoder(str(trained))
    record = export_delta(encoder, tmp_path / "delta", str(base), rank=3)
    assert record.kept > 0.9999
    loaded = load_encoder(str(tmp_path / "delta"))
    expected, found = encoder.encode(DOCUMENT)[0], loaded.encode(DOCUMENT)[0]
    assert torch.cosine_similarity(found, expected, dim=1).min() > 0.999
    torch.testing.assert_close(loaded.summary_SH, encoder.summary_SH)
    assert loaded.segment_length == encoder.segment_length
    assert loaded.tokenize("The town hall.")[0].tolist() == encoder.tokenize("The town hall.")[0].tolist()


def test_a_delta_is_much_smaller_than_its_encoder_and_holds_what_changed_only(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = folders
    export_delta(load_encoder(str(trained)), tmp_path / "delta", str(base), rank=3)
    sizes = [sum(path.stat().st_size for path in folder.iterdir()) for folder in (tmp_path / "delta", trained)]
    assert sizes[0] < 0.05 * sizes[1]
    assert {path.name for path in (tmp_path / "delta").iterdir()} == {"config.json", "delta.json", "delta.safetensors"}


def test_a_lower_rank_keeps_less_and_says_so(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = folders
    encoder = load_encoder(str(trained))
    kept = [export_delta(encoder, tmp_path / str(rank), str(base), rank).kept for rank in (1, 2, 3)]
    assert kept == sorted(kept)
    assert kept[0] < 0.7
    assert read_record(tmp_path / "1").kept == kept[0]


def test_another_base_is_refused_and_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = folders
    export_delta(load_encoder(str(trained)), tmp_path / "delta", str(base), rank=3)
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    weights_digest.cache_clear()
    delta_base.cache_clear()
    with pytest.raises(CheckpointError, match="the vectors would be wrong: install the base"):
        load_encoder(str(tmp_path / "delta"))


def test_the_identity_covers_base_and_delta(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = folders
    encoder = load_encoder(str(trained))
    for rank in (2, 3):
        export_delta(encoder, tmp_path / str(rank), str(base), rank)
    named = [encoder_identity(str(tmp_path / str(rank)), "float32", None) for rank in (2, 3)]
    assert named[0].fingerprint != named[1].fingerprint
    assert named[0].summary_length == SUMMARY
    assert "delta.safetensors" in describe_encoder(str(tmp_path / "3"))
    assert load_encoder(str(tmp_path / "3")).fingerprint == named[1].fingerprint


def test_servers_get_a_whole_folder(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = folders
    export_delta(load_encoder(str(trained)), tmp_path / "delta", str(base), rank=3)
    done = CliRunner().invoke(app, ["export", str(tmp_path / "served"), "--model", str(tmp_path / "delta")])
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "served").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert "summary_length" not in json.loads((tmp_path / "served" / "config.json").read_text())


def test_the_command_writes_a_delta_and_says_what_it_keeps(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = folders
    options = ["--model", str(trained), "--layout", "delta", "--base", str(base), "--rank", "3"]
    done = CliRunner().invoke(app, ["export", str(tmp_path / "delta"), *options])
    assert done.exit_code == 0, done.output
    assert "rank 3 keeps 100.0% of what training changed" in done.output


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"here: k\.left does not fit its base"):
        add_delta({"k": torch.zeros(2, 2)}, delta_of({"k": torch.zeros(3, 2)}, {"k": torch.ones(3, 2)}, 1)[0], "here")
    with pytest.raises(CheckpointError, match=r"here: k\.left does not fit its base"):
        add_delta({}, delta_of({"k": torch.zeros(3, 2)}, {"k": torch.ones(3, 2)}, 1)[0], "here")
