"""Ray Train as `distributed.training` relies on it: one tiny run end to end, resumed, repeated, and on S3.

Needs a Ray of its own (about 10 s): `pytest tests/contract/test_ray_train.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from peft import PeftModel

from lloco_core.config import AnswerConfig, ClusterConfig, EncoderConfig, FinetuneConfig
from lloco_core.distributed import training
from lloco_core.distributed.training import FinetuneJob, TrainingInputs, train_adapter, training_storage
from lloco_core.errors import ConfigurationError
from lloco_core.finetune.rows import write_examples

TINY = str(Path(__file__).parents[1] / "unit" / "finetune")
sys.path.append(TINY)
import tiny  # noqa: E402

pytestmark = pytest.mark.timeout(170)


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    """A Ray of this module alone, on the loopback, in a short folder (socket paths are limited)."""
    quiet = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
        "OMP_NUM_THREADS": "1",
    }
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**quiet, "RAY_TMPDIR": folder}.items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        import ray

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
        ray.init(address="local", num_cpus=3, include_dashboard=False, object_store_memory=100 * 2**20)
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def tiny_inputs(job: FinetuneJob, device: str, dtype: str) -> TrainingInputs:
    """Stands in for encoder and store. The first attempt dies in step 10 where the store folder holds a file `crash`."""
    sys.path.append(TINY)
    import tiny

    assert (device, dtype) == ("cpu", "float32")
    attempts = Path(job.store_uri, "attempts")
    first = not attempts.exists()
    with attempts.open("a") as file:
        file.write("x")
    model = tiny.tiny_model()
    if first and Path(job.store_uri, "crash").exists():
        forwards = iter(range(10**6))
        model.model.register_forward_pre_hook(lambda *_: os._exit(1) if next(forwards) == 20 else None)
    return TrainingInputs(model, tiny.tiny_tokenizer(), tiny.vectors_of)


def job(store: Path, run_name: str, **changes: object) -> FinetuneJob:
    store.mkdir(exist_ok=True)
    examples_uri = str(store / "examples.parquet")
    write_examples(examples_uri, tiny.examples(12))
    recipe = tiny.recipe(holdout=0.2, epochs=5, checkpoint_steps=2, dropout=0.1)
    return FinetuneJob(
        **{
            "group": "tiny",
            "run_name": run_name,
            "examples_uri": examples_uri,
            "store_uri": str(store),
            "night": None,
            "encoder": EncoderConfig(device="cpu"),
            "recipe": recipe,
            "answer": AnswerConfig(),
            "output": str(store / run_name),
            "base_model_name": "owner/Base-7b",
            "max_length": 512,
            **changes,
        }
    )


def test_run_end_to_end_and_again(ray_session: None, tmp_path: Path) -> None:
    first = job(tmp_path / "store", "tiny--0123456789ab")
    result = train_adapter(first, ClusterConfig(), tiny_inputs)
    assert result.steps == 15
    assert result.holdout_after < result.holdout_before
    folder = Path(first.output)
    assert sorted(file.name for file in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["max_length"]) == ("owner/Base-7b", 512)
    PeftModel.from_pretrained(tiny.tiny_model(), folder)
    assert (tmp_path / "store" / "_training" / first.run_name).is_dir()

    shutil.rmtree(folder)
    assert train_adapter(first, ClusterConfig(), tiny_inputs) == result
    assert (tmp_path / "store" / "attempts").read_text() == "x", "a finished run was trained again"
    assert (folder / "adapter_model.safetensors").exists()


def test_killed_worker_resumes_and_ends_the_same(ray_session: None, tmp_path: Path) -> None:
    (tmp_path / "crashing").mkdir()
    (tmp_path / "crashing" / "crash").touch()
    (tmp_path / "calm").mkdir()
    results, weights = [], []
    for store in ("crashing", "calm"):
        run = job(tmp_path / store, "run")
        results.append(train_adapter(run, ClusterConfig(), tiny_inputs))
        weights.append(Path(run.output, "adapter_model.safetensors").read_bytes())
    assert (tmp_path / "crashing" / "attempts").read_text() == "xx"
    assert results[0].last_loss == results[1].last_loss
    assert results[0].holdout_before == results[1].holdout_before
    assert weights[0] == weights[1]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden"])
def test_run_name_must_be_a_folder_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="run name"):
        job(tmp_path / "store", name)


def test_s3_path_has_no_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    from lloco_core.settings import Settings

    monkeypatch.setattr(training, "settings", lambda: Settings(aws_endpoint_url="http://127.0.0.1:9000", aws_region="eu-west-1"))
    filesystem, path = training_storage("s3://bucket/some/prefix/")
    assert path == "bucket/some/prefix/_training"
    assert filesystem.type_name == "s3"
    assert filesystem.region == "eu-west-1"
    assert training_storage("/data/store") == (None, "/data/store/_training")
