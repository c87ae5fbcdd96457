"""Asking the closing questions on a worker: the driver needs no models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lloco_core.distributed.remote import on_a_worker

if TYPE_CHECKING:
    from lloco_core.answer.closing import ClosingAnswer
    from lloco_core.config import NightlyConfig


def ask_closing_questions(config: NightlyConfig, night: str) -> list[ClosingAnswer]:
    """Ask the configured questions, or held-out training questions, of a night."""
    return on_a_worker(_ask, config, night)


def _ask(config: NightlyConfig, night_name: str) -> list[ClosingAnswer]:
    from lloco_core.answer.closing import answer_closing_questions, held_out_questions, read_closing_questions
    from lloco_core.store.read import open_night

    night = open_night(config.store.uri, night_name)
    if config.closing.file:
        questions = read_closing_questions(config.closing.file, night, config.closing.count)
    else:
        questions = held_out_questions(night, config.finetune, config.closing.count)
    return answer_closing_questions(config.store.uri, questions, night_name)
