"""The same answers on a CUDA card: encoder, finetuning, and reading a fact from vectors. Skipped where there is none.

Needs neither ray nor lance, so that it runs on a machine that has only the model libraries.
"""

from __future__ import annotations

import json
import os
import pydoc_data.topics
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lloco_core.answer.local import LocalAnswerer
from lloco_core.compressor import load_encoder
from lloco_core.config import AnswerConfig

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
    pytest.mark.timeout(300),
]

RANK_SCRIPT = Path(__file__).parents[1] / "contract" / "deepspeed_rank.py"
NAMES = ("try", "with", "pass", "import", "lists")


def _documents(encoder) -> list:
    return [encoder.tokenize(pydoc_data.topics.topics[name])[0] for name in NAMES]


def test_cuda_equals_cpu_in_float32():
    """TF32 is off by default, so the card computes in real float32; the sums only run in another order."""
    cpu, cuda = load_encoder("reference"), load_encoder("reference", device="cuda")
    documents = _documents(cpu)
    for ours, theirs in zip(cuda.encode(documents), cpu.encode(documents), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_bfloat16_on_cuda_stays_close():
    cpu, cuda = load_encoder("reference"), load_encoder("reference", device="cuda", dtype="bfloat16")
    documents = _documents(cpu)
    for ours, theirs in zip(cuda.encode(documents), cpu.encode(documents), strict=True):
        assert torch.nn.functional.cosine_similarity(ours.float(), theirs, dim=1).min() > 0.98


def test_fast_equals_plain_on_cuda():
    fast, plain = load_encoder("reference", device="cuda"), load_encoder("reference", device="cuda", fast=False)
    documents = _documents(fast)
    for ours, theirs in zip(fast.encode(documents), plain.encode(documents), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_fact_is_read_from_vectors_on_cuda():
    encoder = load_encoder("reference", device="cuda", dtype="bfloat16")
    text = pydoc_data.topics.topics["import"]
    cut = text.index(". ", len(text) // 2) + 2
    ids, _ = encoder.tokenize(f"{text[:cut]}The magic city is Nairobi. {text[cut:]}")
    answerer = LocalAnswerer(encoder, AnswerConfig(max_new_tokens=8))
    assert "Nairobi" in answerer.answer("What is the magic city?", encoder.encode([ids])[0].float().numpy())
    assert "Nairobi" not in answerer.answer("What is the magic city?", None)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Training on the card with ZeRO-2 and ZeRO-3, and on its CPU."""
    root = tmp_path_factory.mktemp("cuda")
    jobs = []
    for name, device, stage in (("cuda-2", "cuda", 2), ("cuda-3", "cuda", 3)):
        (root / name).mkdir()
        jobs.append({"folder": str(root / name), "rows": 9, "recipe": {"zero_stage": stage}, "resume_from": None, "device": device})
    (root / "jobs.json").write_text(json.dumps(jobs))
    done = subprocess.run([sys.executable, str(RANK_SCRIPT), str(root / "jobs.json")], env=_alone(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {path.parent.name: json.loads(path.read_text()) for path in root.glob("*/result.json")}


def _alone() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "DS_ACCELERATOR")}


@pytest.mark.parametrize("run", ["cuda-2", "cuda-3"])
def test_finetuning_on_cuda_learns(runs: dict[str, dict], run: str):
    losses = runs[run]["losses"]
    assert all(loss == loss and loss < 100 for loss in losses)
    assert runs[run]["holdout_after"] < runs[run]["holdout_before"]


def test_zero_stages_agree_on_cuda(runs: dict[str, dict]):
    assert runs["cuda-3"]["losses"] == pytest.approx(runs["cuda-2"]["losses"], rel=0.02)
