"""The closing questions of a night, shown as an artifact."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

if TYPE_CHECKING:
    from lloco_core.config import NightlyConfig


@task(name="closing-questions", cache_policy=NO_CACHE, retries=1, retry_delay_seconds=5)
def ask_closing_questions(config: NightlyConfig, night: str) -> list[dict[str, Any]]:
    """Answer a few questions from the night's vectors and adapters, and without vectors as a control."""
    from lloco_core.distributed.closing import ask_closing_questions as ask

    answers = [asdict(answer) for answer in ask(config, night)] if config.closing.count else []
    if answers:
        create_table_artifact(key="closing-questions", table=answers, description=f"Questions to {night}")
    return answers
