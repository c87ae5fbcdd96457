"""Putting a trained encoder where it is wanted, a folder or an S3 prefix, whole or not at all.

`training.json` is written first and says whose place it is; `config.json` last, without which nothing loads the weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.objects import Objects, open_objects

RECORD = "training.json"
"""What is known of the training of an encoder."""
CURVE = "curve.jsonl"
"""A line per optimizer step."""
LAST = "config.json"


def refuse_foreign_output(output: str, run: str) -> None:
    """Refuse an output that belongs to another run or holds other files.

    Raises:
        ConfigurationError: it does.
    """
    objects = open_objects(output)
    if objects.stat(RECORD):
        found = _run_of(objects)
        if found != run:
            raise ConfigurationError(
                f"output {output} holds the encoder of run {found}, and these inputs make {run}; choose a new output, or the same inputs"
            )
    elif objects.stat(LAST):
        raise ConfigurationError(f"output {output} holds another checkpoint; checkpoints are never overwritten, choose a new output")


def publish(folder: Path, record: dict[str, Any], curve: Path, output: str) -> None:
    """Put an exported encoder, its record, and its curve to the output; repeating it changes nothing.

    Raises:
        ConfigurationError: another run was faster.
        StorageError: the output cannot be written.
    """
    objects = open_objects(output)
    if not objects.create(RECORD, json.dumps(record, indent=2).encode()):
        refuse_foreign_output(output, record["run"])
    objects.put(CURVE, curve.read_bytes())
    keys = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for key in sorted(keys, key=LAST.__eq__):
        objects.put(key, (folder / key).read_bytes())


def _run_of(objects: Objects) -> str:
    try:
        return json.loads(objects.get(RECORD))["run"]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{objects.uri(RECORD)} is no record of a training ({error!r}); choose a new output") from error
