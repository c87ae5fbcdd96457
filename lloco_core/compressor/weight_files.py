"""Which files of a checkpoint folder, or of a repository on the hub, hold its weights.

Repositories carry more than one set: `.bin` beside safetensors, `consolidated.safetensors` of the original code, adapters, states of
optimizers. The convention of transformers decides: the index and the shards it names, else the one file; safetensors before `.bin`.
Files under names of their own are taken only where there is nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from lloco_core.errors import CheckpointError

NAMES = ("model.safetensors", "pytorch_model.bin")
OTHER_NAMES = ("*.safetensors", "pytorch_model*.bin")
_NO_MODEL = re.compile(r"(adapter|consolidated|optimizer|scheduler|rng_state|random_states)")
"""How names of files begin that are never the model's weights in the layout of transformers."""


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a language model or AutoCompressor, sorted by name.

    Raises:
        CheckpointError: there are none, an index is damaged, or a file that it names is missing.
    """
    if files := named_by_convention(folder):
        return files
    for pattern in OTHER_NAMES:
        if files := under_other_names(folder, pattern):
            return files
    others = sorted(path.name for suffix in ("safetensors", "bin", "pth", "pt", "gguf") for path in folder.glob(f"*.{suffix}"))
    besides = f"; {', '.join(others[:5])} {'are' if others[1:] else 'is'} of another kind" if others else ""
    raise CheckpointError(f"{folder} holds no weights: looked for {', '.join(NAMES)}, and their shards{besides}")


def named_by_convention(folder: Path) -> list[Path]:
    """The files that transformers would load; empty where it finds none."""
    for name in NAMES:
        shards = shard_names(folder / f"{name}.index.json")
        if absent := [shard for shard in shards if not (folder / shard).is_file()]:
            raise CheckpointError(f"{folder}: {name}.index.json names {len(absent)} absent files, first {absent[0]}; download them")
        if shards or (folder / name).is_file():
            return [folder / file for file in shards or [name]]
    return []


def under_other_names(folder: Path, pattern: str = "*.safetensors") -> list[Path]:
    """Files that a pattern finds and that may hold weights of a model, whatever they are called."""
    return sorted(path for path in folder.glob(pattern) if not _NO_MODEL.match(path.name))


def shard_names(index: Path) -> list[str]:
    """The files that an index names, sorted; empty where there is no index.

    Raises:
        CheckpointError: the index is damaged.
    """
    if not index.is_file():
        return []
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is no index of weight files: {error!r}; download it again") from error
    if wrong := [name for name in names if not isinstance(name, str) or Path(name).name != name]:
        raise CheckpointError(f"{index} is no index of weight files: {wrong[0]!r} is no name of a file beside it; download it again")
    if not names:
        raise CheckpointError(f"{index} is no index of weight files: it names none; download it again")
    return names


def wanted_from_hub(folder: Path) -> Iterator[list[str]]:
    """Patterns of what to fetch, best first, given a snapshot with the indices of a repository."""
    for name in NAMES:
        yield shard_names(folder / f"{name}.index.json") or [name]
    yield from ([pattern] for pattern in OTHER_NAMES)


NOT_FROM_HUB = ["adapter*", "consolidated*", "optimizer*"]
"""Large files that no pattern of `wanted_from_hub` is meant to find."""
