"""The closing questions of a night, shown as an artifact."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from lloco_core.errors import in_one_line

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


def closing_answers(config: NightlyConfig, night: str) -> list[dict[str, Any]]:
    """The answers as the report shows them. The night is committed by now: whatever fails here is a line of its report."""
    state = ask_closing_questions(config, night, return_state=True)
    found = state.result(raise_on_failure=state.is_cancelled())
    return [{"question": "closing questions", "failure": in_one_line(found)}] if isinstance(found, Exception) else found
