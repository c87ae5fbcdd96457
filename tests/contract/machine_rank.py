"""One rank of `test_one_machine_ranks.py`: `python machine_rank.py jobs.json` with RANK and friends set."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

import torch.distributed as dist  # noqa: E402

from lloco_core.encoder_training import machine  # noqa: E402
from lloco_core.encoder_training.run import EncoderRunConfig  # noqa: E402


class Cut(Exception):
    """What ends a start behind a checkpoint, on every rank."""


def train(job: dict) -> None:
    steps: list[int] = []

    class Cutting(machine.CheckpointFolder):
        def keep(self, progress, folder: Path) -> None:
            super().keep(progress, folder)
            if progress.step == job["cut"]:
                raise Cut

    machine.CheckpointFolder = Cutting
    with contextlib.suppress(Cut):
        machine.train_on_this_machine(EncoderRunConfig(**job["config"]), lambda line: steps.append(line["step"]))
    Path(job["result"], f"steps-{dist.get_rank()}.json").write_text(json.dumps(steps))


if __name__ == "__main__":
    (job,) = json.loads(Path(sys.argv[1]).read_text())
    train(job)
    dist.destroy_process_group()
