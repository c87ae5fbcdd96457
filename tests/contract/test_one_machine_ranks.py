"""Encoder training without a cluster on two ranks, as torchrun starts them: cut off behind a checkpoint, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lloco_core.compressor import load_encoder
from lloco_core.encoder_training.curves import read
from lloco_core.encoder_training.machine import train_on_this_machine
from tests.contract.rank_processes import launch
from tests.contract.tiny_training import SEGMENT, run_config, write_base, write_text

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def test_two_ranks_go_on_behind_their_checkpoint_and_equal_one(tmp_path: Path) -> None:
    write_base(tmp_path / "base")
    write_text(tmp_path / "text.jsonl")
    training = {"training": {"learning_rate": 3e-3, "warmup_steps": 0, "steps": 6, "batches_per_step": 2, "checkpoint_steps": 2}}
    config = run_config(tmp_path, str(tmp_path / "two"), cluster={"train_workers": 2}, lora=None, **training)
    found = []
    for cut in (4, 0, 0):
        job = {"config": config.model_dump(mode="json"), "cut": cut, "result": str(tmp_path)}
        launch(Path(__file__).with_name("machine_rank.py"), tmp_path, ranks=2, jobs=[job])
        found.append([json.loads((tmp_path / f"steps-{rank}.json").read_text()) for rank in range(2)])
    assert found == [[[1, 2, 3, 4], []], [[5, 6], []], [[], []]]

    _, alone = train_on_this_machine(run_config(tmp_path, str(tmp_path / "one"), lora=None, **training), lambda _: None)
    curve = read(tmp_path / "two" / "curve.jsonl")
    assert [line["step"] for line in curve] == [1, 2, 3, 4, 5, 6]
    assert [line["loss"] for line in curve] == pytest.approx([line["loss"] for line in alone], rel=1e-4)
    assert load_encoder(str(tmp_path / "two")).segment_length == SEGMENT
