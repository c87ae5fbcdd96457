"""Ray Train as `distributed.training` relies on it: a run on S3 whose worker dies, and the same run started again.

Takes most of a minute, nearly all of it for starting workers: `pytest tests/contract/test_ray_train.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lloco_core.config import AnswerConfig, ClusterConfig, EncoderConfig
from lloco_core.distributed.ray_train import training_storage
from lloco_core.distributed.training import FinetuneJob, TrainingInputs, train_adapter
from lloco_core.errors import CheckpointError, ConfigurationError
from lloco_core.finetune.loop import finetune
from lloco_core.finetune.lora import attach_lora, save_adapter
from lloco_core.finetune.rows import FinetuneDataset, split_holdout, write_examples
from lloco_core.settings import settings
from tests.conftest import s3_environment
from tests.contract.own_ray import sent_by_value

TINY = str(Path(__file__).parents[1] / "unit" / "finetune")
sys.path.append(TINY)
import tiny  # noqa: E402

RECIPE = tiny.recipe(holdout=0.2, epochs=4, checkpoint_steps=4, dropout=0.1)
ROWS = 12
FORWARDS_UNTIL_DEATH = 18  # in step 9, behind the checkpoint of step 8


@pytest.fixture(scope="module")
def bucket(s3_endpoint: str) -> Iterator[str]:
    """An S3 bucket, named in the environment as in production."""
    import boto3

    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment(s3_endpoint).items():
            patch.setenv(name, value)
        settings.cache_clear()
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="store")
        yield "s3://store/some/prefix"
    settings.cache_clear()


@pytest.fixture(scope="module")
def ray_session(ray_of_contracts: None, bucket: str) -> Iterator[None]:
    with sent_by_value(__name__):
        yield


def dying_once(job: FinetuneJob, device: str, dtype: str) -> TrainingInputs:
    """Stands in for encoder and store. The process of the first attempt ends in the middle of a step."""
    sys.path.append(TINY)
    import tiny

    assert (device, dtype) == ("cpu", "float32")
    attempts = Path(job.output).with_name("attempts")
    with attempts.open("a") as file:
        file.write("x")
    model = tiny.tiny_model()
    if attempts.read_text() == "x":
        forwards = iter(range(10**6))
        model.model.register_forward_pre_hook(lambda *_: os._exit(1) if next(forwards) == FORWARDS_UNTIL_DEATH else None)
    return TrainingInputs(model, tiny.tiny_tokenizer(), tiny.vectors_of)


def refusing(job: FinetuneJob, device: str, dtype: str) -> TrainingInputs:
    with Path(job.output).with_name("refusals").open("a") as file:
        file.write("x")
    raise CheckpointError(f"{job.encoder.model} has no weights; copy them")


def make_job(store_uri: str, output: Path, run_name: str = "tiny--0123456789ab") -> FinetuneJob:
    return FinetuneJob(
        group="tiny",
        run_name=run_name,
        examples_uri=f"{store_uri}/examples.parquet",
        store_uri=store_uri,
        night=None,
        encoder=EncoderConfig(device="cpu"),
        recipe=RECIPE,
        answer=AnswerConfig(),
        output=str(output),
        base_model_name="owner/Base-7b",
        max_length=512,
    )


def test_killed_worker_ends_where_an_undisturbed_loop_ends(ray_session: None, bucket: str, tmp_path: Path) -> None:
    job = make_job(bucket, tmp_path / "adapter")
    write_examples(job.examples_uri, tiny.examples(ROWS))
    result = train_adapter(job, ClusterConfig(), dying_once)
    assert (tmp_path / "attempts").read_text() == "xx"

    sides = split_holdout(tiny.examples(ROWS), RECIPE.holdout, RECIPE.seed)
    train, held_out = (FinetuneDataset(rows, tiny.vectors_of, tiny.tiny_tokenizer(), job.answer) for rows in sides)
    model = attach_lora(tiny.tiny_model(), RECIPE)
    undisturbed = finetune(model, train, held_out, RECIPE, report=tiny.ignore)
    save_adapter(model, tmp_path / "undisturbed", job.base_model_name, job.max_length)
    assert result.steps == undisturbed.steps == 12
    for name in ("first_loss", "last_loss", "holdout_before", "holdout_after", "tokens"):
        assert getattr(result, name) == pytest.approx(getattr(undisturbed, name), abs=1e-5), name
    assert sorted(file.name for file in Path(job.output).iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads(Path(job.output, "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["max_length"]) == ("owner/Base-7b", 512)
    saved, expected = (load_file(folder / "adapter_model.safetensors") for folder in (Path(job.output), tmp_path / "undisturbed"))
    assert all((saved[name] - expected[name]).abs().max() < 1e-4 for name in expected)

    shutil.rmtree(job.output)
    assert train_adapter(job, ClusterConfig(), dying_once) == result
    assert (tmp_path / "attempts").read_text() == "xx", "a finished run was trained again"
    assert Path(job.output, "adapter_model.safetensors").exists()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden"])
def test_run_name_must_be_a_folder_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="run name"):
        make_job("/store", tmp_path, name)


def test_s3_path_has_no_scheme(bucket: str) -> None:
    filesystem, path = training_storage(f"{bucket}/")
    assert path == "store/some/prefix/_training"
    assert filesystem.type_name == "s3"
    assert training_storage("/data/store") == (None, "/data/store/_training")


def test_gpu_is_not_taken_for_granted(ray_session: None, bucket: str, tmp_path: Path) -> None:
    from dataclasses import replace

    job = replace(make_job(bucket, tmp_path), encoder=EncoderConfig(device="cuda"))
    with pytest.raises(ConfigurationError, match="no GPU"):
        train_adapter(job, ClusterConfig(), dying_once)


@pytest.mark.real
def test_what_a_worker_refuses_comes_back_at_once_and_as_it_was_raised(ray_session: None, bucket: str, tmp_path: Path) -> None:
    job = make_job(bucket, tmp_path / "adapter", "refused")
    with pytest.raises(CheckpointError) as raised:
        train_adapter(job, ClusterConfig(), refusing)
    assert str(raised.value) == "reference has no weights; copy them"
    assert (tmp_path / "refusals").read_text() == "x"
