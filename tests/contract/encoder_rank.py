"""One rank of `test_encoder_ranks.py`: `python encoder_rank.py jobs.json` with RANK and friends set.

Trains a tiny encoder once per job, with every tensor partitioned under ZeRO-3 (persistence threshold 0), and writes the
curve, the exported encoder, and the parts of its checkpoints below the job's folder.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "unit" / "encoder_training")]

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from tiny_encoder import CountedSource, objective_config, recipe  # noqa: E402

from lloco_core.compressor.export import export_checkpoint  # noqa: E402
from lloco_core.encoder_training.autocompressor import AutoCompressorObjective  # noqa: E402
from lloco_core.encoder_training.loop import Progress, train_encoder  # noqa: E402
from lloco_core.encoder_training.module import merged_encoder, training_module  # noqa: E402
from lloco_core.encoder_training.recipe import LoraRecipe  # noqa: E402
from lloco_core.training import engine  # noqa: E402

engine.PERSISTENCE_THRESHOLD = 0


def train(job: dict) -> None:
    folder = Path(job["folder"])
    config = objective_config(segment_checkpointing=True, logits_chunk=16, plain_share=0.1)
    module = training_module(job["base"], config, LoraRecipe(r=4, dropout=0.2) if job["lora"] else None)
    curve = []

    def keep(progress: Progress, part: Path | None) -> None:
        if part:
            shutil.copytree(part, folder / f"checkpoint-{progress.step}", dirs_exist_ok=True)
            dist.barrier()
        else:
            curve.append({name: value for name, value in asdict(progress).items() if name != "seconds"})

    engine.join_process_group(torch.device("cpu"))
    source = CountedSource(rank=dist.get_rank(), ranks=dist.get_world_size())
    resume_from = Path(job["resume_from"]) if job["resume_from"] else None
    train_encoder(module, AutoCompressorObjective(config), source, recipe(**job["recipe"]), report=keep, resume_from=resume_from)
    whole = all(parameter.numel() for parameter in module.parameters())
    encoder = merged_encoder(module, job["base"], 12)
    if dist.get_rank() == 0:
        export_checkpoint(encoder, folder / "encoder")
        (folder / "result.json").write_text(json.dumps({"curve": curve, "whole": whole}))
    dist.barrier()


if __name__ == "__main__":
    for job in json.loads(Path(sys.argv[1]).read_text()):
        train(job)
    dist.destroy_process_group()
