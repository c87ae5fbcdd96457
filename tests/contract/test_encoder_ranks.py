"""Encoder training on two gloo ranks: ZeRO-2 and ZeRO-3 equal one rank, and resumed runs equal straight ones.

In some steps one rank has questions and the other has none.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.contract.rank_processes import launch
from tests.tiny_models import random_lm

SCRIPT = Path(__file__).with_name("encoder_rank.py")
STEPS = 6
STAGES = pytest.mark.parametrize("stage", [2, 3])
RECIPES = {"full": {}, "lora": {}, "muon": {"muon_learning_rate": 0.01, "gradient_clipping": None}}
CLOSE = {"full": 1e-3, "lora": 1e-3, "muon": 3e-3}
"""Of trained weights. Muon rounds to bfloat16 in between."""
KINDS = pytest.mark.parametrize("kind", list(RECIPES))

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one-KIND` on one rank; `two-KIND-STAGE` and its continuation `resumed-KIND-STAGE` on two."""
    root = tmp_path_factory.mktemp("encoder-ranks")
    shape = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    random_lm("llama", 0, **shape, tie_word_embeddings=True).save_pretrained(root / "base")

    def job(name: str, kind: str, resume_from: Path | None = None, **recipe: object) -> dict:
        (root / name).mkdir()
        common = {"base": str(root / "base"), "lora": kind == "lora", "resume_from": resume_from and str(resume_from)}
        return common | {"folder": str(root / name), "recipe": {"steps": STEPS, **RECIPES[kind], **recipe}}

    launch(SCRIPT, root, 1, [job(f"one-{kind}", kind) for kind in RECIPES])
    jobs = []
    for kind in RECIPES:
        for stage in (2, 3):
            name = f"{kind}-{stage}"
            jobs.append(job(f"two-{name}", kind, zero_stage=stage, checkpoint_steps=3))
            jobs.append(job(f"resumed-{name}", kind, root / f"two-{name}" / "checkpoint-3", zero_stage=stage, checkpoint_steps=3))
    launch(SCRIPT, root, 2, jobs)
    return root


def result(run: Path) -> dict:
    return json.loads((run / "result.json").read_text())


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "encoder" / "model.safetensors")


@KINDS
@STAGES
def test_two_ranks_equal_one(kind: str, stage: int, runs: Path) -> None:
    expected, found = result(runs / f"one-{kind}")["curve"], result(runs / f"two-{kind}-{stage}")["curve"]
    assert len(found) == STEPS
    for one, two in zip(expected, found, strict=True):
        assert two["curves"].keys() == one["curves"].keys() >= {"lm", "plain"}
        for name in ("loss", "learning_rate", "tokens"):
            assert two[name] == pytest.approx(one[name], rel=1e-4), name
        assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-2 if kind == "muon" else 2e-3)
        assert two["curves"] == pytest.approx(one["curves"], rel=1e-4)
    assert any("answer" in step["curves"] for step in expected)
    reference = weights(runs / f"one-{kind}")
    base = load_file(runs / "base" / "model.safetensors")
    for name, tensor in weights(runs / f"two-{kind}-{stage}").items():
        torch.testing.assert_close(tensor, reference[name], atol=CLOSE[kind], rtol=0)
        if "_proj" in name:
            assert (tensor - reference[name]).norm() <= 0.1 * (reference[name] - base[name]).norm(), name
        if "q_proj" in name:
            assert (tensor - base[name]).abs().max() > 5e-3, "nothing was trained"


@KINDS
def test_stage_3_partitions_what_is_exported(kind: str, runs: Path) -> None:
    """Else these tests would pass with an export that forgets to gather."""
    assert result(runs / f"two-{kind}-2")["whole"]
    assert not result(runs / f"two-{kind}-3")["whole"]


@KINDS
@STAGES
def test_resumed_run_repeats_the_curve(kind: str, stage: int, runs: Path) -> None:
    straight, resumed = result(runs / f"two-{kind}-{stage}"), result(runs / f"resumed-{kind}-{stage}")
    assert resumed["curve"] == straight["curve"][3:]
    saved = weights(runs / f"two-{kind}-{stage}"), weights(runs / f"resumed-{kind}-{stage}")
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])
