"""DeepSpeed as the loop relies on it: ranks, ZeRO stages, and resumed runs change nothing but the speed.

Real gloo ranks in processes of their own, one launch per world size: `pytest tests/contract/test_deepspeed.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.contract.rank_processes import launch

SCRIPT = Path(__file__).with_name("deepspeed_rank.py")
ROWS = 9  # with a global batch of 4: the last step of an epoch has 1 row, and the second of two ranks has none
STEPS = 6
RESUMABLE = {"dropout": 0.3, "checkpoint_steps": 2}

pytestmark = pytest.mark.timeout(600)


def job(folder: Path, resume_from: Path | None = None, **recipe: object) -> dict:
    folder.mkdir()
    return {"folder": str(folder), "rows": ROWS, "recipe": recipe, "resume_from": resume_from and str(resume_from)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of this file: `one`, and for each stage `two-N`, `straight-N`, `resumed-N`."""
    root = tmp_path_factory.mktemp("deepspeed")
    launch(SCRIPT, root, 1, [job(root / "one")])
    jobs = []
    for stage in (2, 3):
        jobs.append(job(root / f"two-{stage}", zero_stage=stage))
        jobs.append(job(root / f"straight-{stage}", zero_stage=stage, **RESUMABLE))
        jobs.append(job(root / f"resumed-{stage}", root / f"straight-{stage}" / "checkpoint-4", zero_stage=stage, **RESUMABLE))
    launch(SCRIPT, root, 2, jobs)
    return root


def result(run: Path) -> dict:
    return json.loads((run / "result.json").read_text())


def adapter(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("stage", [2, 3])
def test_two_ranks_equal_one(stage: int, runs: Path) -> None:
    reference, two = result(runs / "one"), result(runs / f"two-{stage}")
    assert len(two["losses"]) == STEPS
    assert two["losses"] == pytest.approx(reference["losses"], abs=1e-4)
    assert two["holdout_before"] == pytest.approx(reference["holdout_before"], abs=1e-5)
    assert two["holdout_after"] == pytest.approx(reference["holdout_after"], abs=1e-4)
    assert two["tokens"] == reference["tokens"]
    expected, saved = adapter(runs / "one"), adapter(runs / f"two-{stage}")
    assert saved.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(saved[name], tensor, atol=2e-3, rtol=0)


def test_stage_3_partitions_what_is_saved(runs: Path) -> None:
    """Else these tests would pass with a save that forgets to gather."""
    assert result(runs / "two-2")["whole"]
    assert not result(runs / "two-3")["whole"]


@pytest.mark.parametrize("stage", [2, 3])
def test_resumed_run_repeats_the_curve(stage: int, runs: Path) -> None:
    straight, resumed = result(runs / f"straight-{stage}"), result(runs / f"resumed-{stage}")
    assert resumed["losses"] == straight["losses"][4:]
    unchanged = ("steps", "first_loss", "last_loss", "holdout_before", "holdout_after", "tokens")
    assert {name: resumed[name] for name in unchanged} == {name: straight[name] for name in unchanged}
    saved = [adapter(runs / f"{run}-{stage}") for run in ("straight", "resumed")]
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])


@pytest.mark.parametrize("stage", [2, 3])
def test_checkpoint_leaves_frozen_weights_out(stage: int, runs: Path) -> None:
    checkpoint = runs / f"straight-{stage}" / "checkpoint-2"
    (states,) = checkpoint.rglob("*mp_rank_00_model_states.pt") if stage == 2 else checkpoint.rglob("zero_pp_rank_0_*_model_states.pt")
    names = list(torch.load(states, weights_only=False)["module"])
    assert names and all("lora_" in name for name in names)
