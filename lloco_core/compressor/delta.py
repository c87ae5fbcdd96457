"""An encoder as what training changed of a base model: a few tens of megabytes in place of all weights.

A folder of this layout, beside the published full one, holds:

- `delta.json`: the base by name and by a digest of its weights, the rank, and which part of the change the rank keeps;
- `delta.safetensors`: per changed matrix `<key>.left` [out, r] and `<key>.right` [r, in], whose product is added to the base's; what else
  changed, and the summary embedding, whole;
- `config.json` of the encoder, as in the full layout. The tokenizer is the base's.

`left` and `right` come from a singular value decomposition (Eckart and Young 1936: the nearest matrix of that rank). They are int8 with one
scale per component: its column of `left`, its row of `right`.
Legend: out x in a matrix, r rank.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lloco_core.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD, WEIGHTS = "delta.json", "delta.safetensors"
LEFT, RIGHT, SCALE = ".left", ".right", "_scale"
LEVELS = 127

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class DeltaRecord:
    """What `delta.json` says."""

    base: str
    """A known base, a hub name, or a folder."""
    base_sha256: str
    """Of the base's weights, see `weights_digest`."""
    rank: int
    kept: float
    """Share of the squared change of all matrices that the rank keeps, int8 included."""

    def write(self, folder: Path) -> None:
        """Put it into a folder."""
        (folder / RECORD).write_text(json.dumps(asdict(self), indent=2) + "\n")


def is_delta(folder: Path) -> bool:
    """Whether a checkpoint folder holds a change of a base only."""
    return (folder / RECORD).is_file()


def read_record(folder: Path) -> DeltaRecord:
    """Read `delta.json`.

    Raises:
        CheckpointError: it is something else.
    """
    try:
        return DeltaRecord(**json.loads((folder / RECORD).read_text()))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{folder / RECORD} is no record of a delta ({error}); download it again") from error


def delta_of(base: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor], rank: int, whole: str = "") -> tuple[Tensors, float]:
    """What turns `base` into `trained`, matrices but `whole` cut to a rank, and the share of their squared change that is kept."""
    found: Tensors = {}
    changed = lost = 0.0
    for key, tensor in trained.items():
        change = tensor.float() - base[key].float() if key in base and key != whole else None
        if change is not None and not change.any():
            continue
        if change is None or change.ndim != 2:
            found[key] = tensor.to(torch.bfloat16)
            continue
        parts = _low_rank(key, change, rank)
        found |= parts
        changed += change.square().sum().item()
        lost += (change - _product(key, parts)).square().sum().item()
    return found, 1 - lost / changed if changed else 1.0


def add_delta(base: Tensors, delta: Mapping[str, torch.Tensor], source: str) -> Tensors:
    """The encoder's tensors in float32: those of the base, changed.

    Raises:
        CheckpointError: a part is missing or does not fit.
    """
    weights = {key: tensor.float() for key, tensor in base.items()}
    for name, tensor in delta.items():
        if name.endswith((RIGHT, SCALE)):
            continue
        key = name.removesuffix(LEFT)
        try:
            weights[key] = weights[key] + _product(key, delta) if name != key else tensor.float()
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{source}: {name} does not fit its base ({error}); download both again") from error
    return weights


def _low_rank(key: str, change: torch.Tensor, rank: int) -> Tensors:
    left, values, right = torch.linalg.svd(change, full_matrices=False)
    rank = min(rank, len(values))
    root = values[:rank].sqrt()
    return {
        **_int8(key + LEFT, left[:, :rank] * root, 0),
        **_int8(key + RIGHT, right[:rank] * root[:, None], 1),
    }


def _int8(name: str, tensor: torch.Tensor, along: int) -> Tensors:
    """Levels and, per component, their scale; `along` is the dimension that a component runs along."""
    scale = (tensor.abs().amax(dim=along, keepdim=True) / LEVELS).clamp_min(1e-12)
    return {name: (tensor / scale).round().to(torch.int8).contiguous(), name + SCALE: scale.contiguous()}


def _product(key: str, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    left, right = (parts[key + side].float() * parts[key + side + SCALE] for side in (LEFT, RIGHT))
    return left @ right
