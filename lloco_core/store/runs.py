"""What a run was asked to do and what came of it, beside the tables: `_runs/<run_id>/config.json` and `summary.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lloco_core.config import NightlyConfig

if TYPE_CHECKING:
    from lloco_core.objects import Objects


def save_config(objects: Objects, run_id: str, config: NightlyConfig) -> None:
    """Keep a run's configuration; it holds no secrets."""
    objects.put(f"_runs/{run_id}/config.json", config.model_dump_json(indent=2).encode())


def load_config(objects: Objects, run_id: str) -> NightlyConfig:
    """The configuration a run was started with."""
    return NightlyConfig.model_validate_json(objects.get(f"_runs/{run_id}/config.json"))


def copy_config(objects: Objects, from_run: str, to_run: str) -> None:
    """Give a night that no ingest published the configuration of the one it follows: readers of a night need it."""
    key = f"_runs/{from_run}/config.json"
    if objects.stat(key):
        objects.put(f"_runs/{to_run}/config.json", objects.get(key))


def drop_config(objects: Objects, run_id: str) -> None:
    """Delete a run's configuration."""
    objects.delete(f"_runs/{run_id}/config.json")


def save_summary(objects: Objects, run_id: str, summary: dict[str, Any]) -> None:
    """Keep a run's numbers."""
    objects.put(f"_runs/{run_id}/summary.json", json.dumps(summary, indent=2).encode())
