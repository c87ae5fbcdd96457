"""Encoder training on Ray Train: a worker that dies in the middle, an output on S3, and both kinds of encoder.

Takes minutes, nearly all of it for starting workers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lloco_core.compressor import load_encoder
from lloco_core.distributed.encoder_training import model_and_objective, train_context_encoder
from lloco_core.encoder_training.curves import read
from lloco_core.encoder_training.run import EncoderRunConfig, run_name
from lloco_core.encoder_training.trainee import Trainee
from lloco_core.errors import CheckpointError, ConfigurationError
from lloco_core.settings import settings
from tests.conftest import s3_environment
from tests.contract.own_ray import sent_by_value
from tests.contract.tiny_training import SEGMENT, run_config, write_base, write_text

IDS = np.arange(100, 120)
CALLS_UNTIL_DEATH = 8  # two substeps a step: in step 5, behind the checkpoint of step 4
TWO_RANKS = {"train_workers": 2}

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bucket(s3_endpoint: str) -> Iterator[Any]:
    """A client of an S3 server that the environment names, as in production."""
    import boto3

    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment(s3_endpoint).items():
            patch.setenv(name, value)
        settings.cache_clear()
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="models")
        yield client
    settings.cache_clear()


@pytest.fixture(scope="module")
def home(ray_of_contracts: None, bucket: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Base and text."""
    folder = tmp_path_factory.mktemp("encoder-training")
    write_base(folder / "base")
    write_text(folder / "text.jsonl")
    with sent_by_value(__name__):
        yield folder


def ignore(_: dict[str, Any]) -> None:
    pass


def dying_once(config: EncoderRunConfig, dtype: torch.dtype, device: torch.device) -> Trainee:
    """The first worker of the first attempt ends in the middle of a step."""
    trainee = model_and_objective(config, dtype, device)
    if torch.distributed.get_rank() == 0:
        attempts = Path(config.text.cache).with_name("attempts")
        with attempts.open("a") as file:
            file.write("x")
        if attempts.read_text() == "x":
            calls = iter(range(10**6))
            trainee.module.register_forward_pre_hook(lambda *_: os._exit(1) if next(calls) == CALLS_UNTIL_DEATH else None)
    return trainee


def keeping_vectors(config: EncoderRunConfig, dtype: torch.dtype, device: torch.device) -> Trainee:
    """What is exported also leaves the vectors of `IDS`, computed by the module in training."""
    trainee = model_and_objective(config, dtype, device)
    export = trainee.export

    def keep(folder: Path) -> None:
        export(folder)
        trainee.module.eval()
        text_BT = torch.from_numpy(IDS)[None]
        with torch.no_grad():
            icae = config.kind == "icae"
            vectors = trainee.module.read(text_BT, [(0, 10), (10, 20)]) if icae else trainee.module.read_segment(None, text_BT)[1]
        torch.save(vectors[0], Path(config.text.cache).with_name(f"{config.kind}.pt"))

    trainee.export = keep
    return trainee


def steps_of(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in curve]


def test_killed_worker_repeats_the_curve_and_the_encoder(home: Path, bucket: Any, tmp_path: Path) -> None:
    disturbed = run_config(home, "s3://models/some/encoder", cluster=TWO_RANKS)
    record, curve = train_context_encoder(disturbed, ignore, dying_once)
    assert (home / "attempts").read_text() == "xx"
    seen: list[int] = []
    straight = run_config(home, str(tmp_path / "straight"), cluster=TWO_RANKS)
    expected_record, expected = train_context_encoder(straight, lambda line: seen.append(line["step"]), keeping_vectors)
    assert run_name(disturbed) == run_name(straight)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert steps_of(curve) == steps_of(expected)
    assert [line["step"] for line in curve if "validation" in line] == [4, 6]
    assert (record.tokens, record.workers, record.validation) == (1152, 2, expected_record.validation)

    fetched = fetch(bucket, "some/encoder/", tmp_path / "fetched")
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (fetched, tmp_path / "straight"))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    base = load_file(home / "base" / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    assert (mine[name] - base[name]).abs().max() > 1e-3, "nothing was trained"
    assert steps_of(read(fetched / "curve.jsonl")) == steps_of(expected)
    assert json.loads((fetched / "training.json").read_text())["run"] == record.run

    encoder = load_encoder(str(tmp_path / "straight"))
    (vectors_PH,) = encoder.encode([IDS])
    torch.testing.assert_close(vectors_PH, torch.load(home / "autocompressor.pt"), atol=1e-5, rtol=1e-5)

    (tmp_path / "straight" / "config.json").unlink()  # as if the driver had died while it handed the encoder out
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load_encoder(str(tmp_path / "straight"))
    assert train_context_encoder(straight, ignore, dying_once) == (expected_record, expected)
    assert (home / "attempts").read_text() == "xx", "a finished run was trained again"
    assert load_encoder(str(tmp_path / "straight")).segment_length == SEGMENT


def fetch(client: Any, prefix: str, folder: Path) -> Path:
    folder.mkdir()
    for item in client.list_objects_v2(Bucket="models", Prefix=prefix)["Contents"]:
        key = item["Key"].removeprefix(prefix)
        if key and "/" not in key:  # the prefix itself may be an object
            client.download_file("models", item["Key"], str(folder / key))
    return folder


def test_an_icae_brings_its_base_model_and_can_be_trained_on(home: Path, tmp_path: Path) -> None:
    config = run_config(home, str(tmp_path / "icae"), kind="icae")
    record, curve = train_context_encoder(config, ignore, keeping_vectors)
    assert curve[-1]["curves"].keys() == {"ae", "lm", "ft"}
    assert "base_none" not in record.validation
    (home / "base").rename(home / "base-moved")
    encoder = load_encoder(str(tmp_path / "icae"))
    (home / "base-moved").rename(home / "base")
    (vectors_PH,) = encoder.encode([IDS])
    torch.testing.assert_close(vectors_PH, torch.load(home / "icae.pt"), atol=1e-5, rtol=1e-5)

    again = run_config(home, str(tmp_path / "more"), kind="icae", start=str(tmp_path / "icae"))
    module = model_and_objective(again, torch.float32, torch.device("cpu")).module
    with torch.no_grad():
        torch.testing.assert_close(
            module.eval().read(torch.from_numpy(IDS)[None], [(0, 10), (10, 20)])[0], vectors_PH, atol=1e-5, rtol=1e-5
        )
    with pytest.raises(CheckpointError, match=r"set icae\.r"):
        model_and_objective(run_config(home, "x", kind="icae", start=again.start, icae={"r": 8}), torch.float32, torch.device("cpu"))


def test_other_checkpoints_are_not_overwritten(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="never overwritten"):
        train_context_encoder(run_config(home, str(home / "base")), ignore)


def test_names_of_runs(home: Path, tmp_path: Path) -> None:
    name = run_name(run_config(home, "somewhere"))
    same = [
        {"output": "elsewhere"},
        {"training": {"checkpoint_steps": 5}},
        {"validation": None},
        {"text": {"threads": 2}},
        {"icae": {"r": 2}},
    ]
    other = [{"training": {"seed": 1}}, {"lora": None}, {"text": {"seed": 1}}, {"kind": "icae"}, {"cluster": {"train_workers": 2}}]
    assert {run_name(run_config(home, **({"output": "somewhere"} | change))) for change in same} == {name}
    assert len({name} | {run_name(run_config(home, "somewhere", **change)) for change in other}) == 6
    changed = write_text(tmp_path / "text.jsonl", documents=13)
    assert run_name(run_config(home, "somewhere", text={"files": [str(changed)]})) != name
