"""Checkpoints of a run: DeepSpeed's files, and beside them `run.json` for people and for the check on resuming."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch.distributed as dist

from lloco_core.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from deepspeed import DeepSpeedEngine

RUN_FILE = "run.json"


def save_run(engine: DeepSpeedEngine, folder: Path, run: dict[str, Any]) -> None:
    """Write this rank's part of a checkpoint. Frozen weights stay out: megabytes instead of a whole base model."""
    engine.save_checkpoint(str(folder), exclude_frozen_parameters=True)
    if dist.get_rank() == 0:
        (folder / RUN_FILE).write_text(json.dumps(run, indent=2))


def load_run(engine: DeepSpeedEngine, folder: Path, unchanged: dict[str, Any]) -> dict[str, Any]:
    """Restore the engine from the merged parts of a checkpoint and return what `save_run` was given.

    Raises:
        CheckpointError: nothing is there, or the run differs from this one in what must be `unchanged`.
    """
    try:
        run = json.loads((folder / RUN_FILE).read_text())
    except OSError as error:
        raise CheckpointError(f"{folder / RUN_FILE}: {error.strerror}; start the run under a new name") from error
    for name, value in unchanged.items():
        if run.get(name) != value:
            raise CheckpointError(f"checkpoint {folder} belongs to {run.get(name)}, not to {value}; start the run under a new name")
    path, _ = engine.load_checkpoint(str(folder), load_module_strict=False)
    if path is None:
        raise CheckpointError(f"{folder} holds no DeepSpeed state; start the run under a new name")
    return run
