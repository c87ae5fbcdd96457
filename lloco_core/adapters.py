"""Which adapters a night needs: one per group, named by everything its training depends on.

An adapter whose name is recorded or waits as a candidate is not trained again; a group is stale exactly when its name changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lloco_core.fingerprint import digest_bytes
from lloco_core.objects import open_at
from lloco_core.registry.candidates import adapter_name, candidates
from lloco_core.registry.publish import registered_adapters

if TYPE_CHECKING:
    from lloco_core.config import NightlyConfig, QuestionsConfig
    from lloco_core.registry.candidates import Candidate
    from lloco_core.store.read import DocumentRow, Night
    from lloco_core.store.tables import Store

RECIPE_VERSION = 1
"""Part of every adapter name: raise it when a change of this package changes what training gives."""


@dataclass(frozen=True, slots=True)
class GroupWork:
    """One group of a night and the adapter it should have."""

    group: str
    adapter_id: str
    documents: tuple[DocumentRow, ...]
    is_trained: bool
    """The adapter exists already, registered, rejected, or as a candidate."""


def plan_adapters(night: Night, config: NightlyConfig) -> list[GroupWork]:
    """Name the adapter of every group, and say which are trained."""
    existing = {row["adapter_id"] for row in registered_adapters(night.store)}
    existing |= {candidate.adapter_id for candidate in candidates(night.store.objects)}
    questions = questions_identity(config.questions)
    work = []
    for group in night.groups():
        documents = tuple(night.documents(group))
        adapter_id = adapter_name(group, training_inputs(documents, config, questions))
        work.append(GroupWork(group, adapter_id, documents, adapter_id in existing))
    return work


def training_inputs(documents: tuple[DocumentRow, ...], config: NightlyConfig, questions: Any) -> dict[str, Any]:
    """Everything the training of a group depends on."""
    return {
        "documents": sorted(document.version_id for document in documents),
        "encoder": sorted({document.encoder_fingerprint for document in documents}),
        "recipe": config.finetune.model_dump(mode="json"),
        "answer": config.answer.model_dump(mode="json", include={"question_template", "answer_template"}),
        "questions": questions,
        "version": RECIPE_VERSION,
    }


def questions_identity(questions: QuestionsConfig) -> Any:
    """What names the training questions: a file's content, else the settings they are made with."""
    if questions.file is None:
        return questions.model_dump(mode="json")
    objects, key = open_at(questions.file)
    return [digest_bytes(objects.get(key)), questions.max_per_group]


def waiting_candidates(store: Store) -> list[Candidate]:
    """Candidates without a record, by name."""
    recorded = {row["adapter_id"] for row in registered_adapters(store)}
    waiting = [candidate for candidate in candidates(store.objects) if candidate.adapter_id not in recorded]
    return sorted(waiting, key=lambda candidate: candidate.adapter_id)
