"""One DeepSpeed rank of `test_deepspeed.py`: `python deepspeed_rank.py jobs.json` with RANK and friends set.

Trains the tiny model once per job, with every tensor partitioned under ZeRO-3 (persistence threshold 0), and writes
losses, the adapter, and the parts of its checkpoints below the job's folder. One process runs all jobs because starting
one costs more than training.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "unit" / "finetune")]

import tiny  # noqa: E402
import torch.distributed as dist  # noqa: E402

from lloco_core.finetune.loop import Progress, finetune  # noqa: E402
from lloco_core.finetune.lora import attach_lora, save_adapter  # noqa: E402
from lloco_core.training import engine  # noqa: E402

engine.PERSISTENCE_THRESHOLD = 0


def train(job: dict) -> None:
    folder = Path(job["folder"])
    recipe = tiny.recipe(**job["recipe"])
    model = attach_lora(tiny.tiny_model(), recipe)
    losses = []

    def keep(progress: Progress, part: Path | None) -> None:
        if part:
            shutil.copytree(part, folder / f"checkpoint-{progress.step}", dirs_exist_ok=True)
            dist.barrier()
        else:
            losses.append(progress.loss)

    resume_from = Path(job["resume_from"]) if job["resume_from"] else None
    device = job.get("device", "cpu")
    result = finetune(model, tiny.dataset(job["rows"]), tiny.dataset(3), recipe, report=keep, device=device, resume_from=resume_from)
    save_adapter(model, folder / "adapter", "tiny")
    whole = all(parameter.numel() for parameter in model.parameters())
    if dist.get_rank() == 0:
        (folder / "result.json").write_text(json.dumps({"losses": losses, "whole": whole, **asdict(result)}))
    dist.barrier()


if __name__ == "__main__":
    for job in json.loads(Path(sys.argv[1]).read_text()):
        train(job)
    dist.destroy_process_group()
