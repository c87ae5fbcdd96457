"""Trained adapters that wait to be registered: `<store>/_candidates/<adapter id>/`.

Training ends with a candidate in the store, so a crash between training and registration loses nothing and the two can
run as separate deployments. `candidate.json` is written last: a candidate without it does not exist.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lloco_core.fingerprint import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.objects import Objects

PREFIX = "_candidates/"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of a trained adapter besides its files."""

    adapter_id: str
    group: str
    night: str
    encoder_fingerprint: str
    base_model: str
    recipe: dict[str, Any]
    metrics: dict[str, float | None]
    documents: dict[str, str]
    """doc_id -> version_id it was trained on."""
    n_examples: int


def adapter_name(group: str, inputs: dict[str, Any]) -> str:
    """`<group>--<sha12>` over the training inputs."""
    return f"{group}--{digest(inputs, 12)}"


def save_candidate(objects: Objects, candidate: Candidate, folder: Path) -> None:
    """Store a trained adapter's files, then the candidate."""
    for path in sorted(folder.iterdir()):
        objects.put(f"{PREFIX}{candidate.adapter_id}/{path.name}", path.read_bytes())
    objects.put(f"{PREFIX}{candidate.adapter_id}/candidate.json", json.dumps(asdict(candidate)).encode())


def candidate_file(objects: Objects, adapter_id: str, name: str) -> bytes:
    """One file of a candidate."""
    return objects.get(f"{PREFIX}{adapter_id}/{name}")


def candidates(objects: Objects) -> Iterator[Candidate]:
    """All candidates, whether registered already or not."""
    for item in objects.list(PREFIX):
        if item.key.endswith("/candidate.json"):
            yield Candidate(**json.loads(objects.get(item.key)))
