"""Tasks around the training of a context encoder: the run itself, and what is shown of it."""

from __future__ import annotations

import base64
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

if TYPE_CHECKING:
    from lloco_core.encoder_training.record import TrainingRecord
    from lloco_core.encoder_training.run import EncoderRunConfig

LOG_SECONDS = 15
"""Between lines of progress in the log of a flow run."""
PLOT = "curve.svg"
"""Beside the encoder, where matplotlib is installed."""


@task(name="train-encoder", cache_policy=NO_CACHE)
def train(config: EncoderRunConfig) -> tuple[TrainingRecord, list[dict[str, Any]]]:
    """Train an encoder and put it to its output. Ray Train restarts failed workers from the last checkpoint; so does a later run."""
    from lloco_core.distributed.encoder_training import train_context_encoder

    record, curve = train_context_encoder(config, _progress_log(get_run_logger(), config.training.steps))
    get_run_logger().info("%s: %s steps, %s tokens, encoder in %s", record.run, f"{record.steps:,}", f"{record.tokens:,}", config.output)
    return record, curve


@task(name="encoder-report", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def publish_report(record: TrainingRecord, curve: list[dict[str, Any]]) -> None:
    """Publish the record, and the curves as a picture where matplotlib is installed; the picture also lies beside the encoder."""
    create_markdown_artifact(key="encoder-training", markdown=record.as_markdown(), description=f"Training of {record.run}")
    if not find_spec("matplotlib"):
        get_run_logger().info("matplotlib is not installed (extra `evaluation`): no plot; the numbers are in curve.jsonl")
        return
    from lloco_core.encoder_training.curves import plot_curves
    from lloco_core.objects import open_objects

    with tempfile.TemporaryDirectory(prefix="lloco-plot-") as folder:
        for name in (PLOT, "curve.png"):
            plot_curves(curve, Path(folder, name))
        open_objects(record.config["output"]).put(PLOT, Path(folder, PLOT).read_bytes())
        picture = base64.b64encode(Path(folder, "curve.png").read_bytes()).decode()
    create_image_artifact(key="encoder-curves", image_url=f"data:image/png;base64,{picture}", description=f"Curves of {record.run}")


def _progress_log(log: Any, steps: int) -> Callable[[dict[str, Any]], None]:
    """Logs the first step, then one line in `LOG_SECONDS`, and every step that was validated."""
    from lloco_core.encoder_training.record import describe_step

    next_at = time.monotonic()

    def on_step(line: dict[str, Any]) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at or line.get("validation") or line["step"] == steps:
            log.info("%s", describe_step(line, steps))
            next_at = time.monotonic() + LOG_SECONDS

    return on_step
