"""The training questions of a group, from whichever source the configuration names."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lloco_core.selfstudy.from_documents import questions_from_document
from lloco_core.selfstudy.from_file import read_question_file
from lloco_core.selfstudy.teacher import ask_teacher, connect_teacher

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lloco_core.config import NightlyConfig, TeacherConfig
    from lloco_core.store.read import DocumentRow, Night
    from lloco_core.types import Example


@dataclass(slots=True)
class Questions:
    """Training questions and what was left out on the way, by reason."""

    examples: list[Example]
    left_out: dict[str, int] = field(default_factory=dict)


def collect_questions(night: Night, documents: Sequence[DocumentRow], config: NightlyConfig) -> Questions:
    """Questions about the documents of one group, at most `questions.max_per_group` (a seeded sample)."""
    settings, seed = config.questions, config.finetune.seed
    if settings.file:
        questions = _from_file(settings.file, documents)
    elif settings.teacher:
        questions = _from_teacher(night, documents, settings.teacher, settings.per_document)
    else:
        made = (questions_from_document(doc.doc_id, night.text(doc.doc_id), settings.per_document, seed) for doc in documents)
        questions = Questions([example for examples in made for example in examples])
    if len(questions.examples) > settings.max_per_group:
        questions.left_out["beyond max_per_group"] = len(questions.examples) - settings.max_per_group
        questions.examples = random.Random(seed).sample(questions.examples, settings.max_per_group)  # noqa: S311
    return questions


def _from_file(uri: str, documents: Sequence[DocumentRow]) -> Questions:
    names = {name: document.doc_id for document in documents for name in _names(document)}
    read = read_question_file(uri, lambda name: names.get(name) or names.get(name.rpartition("/")[2]))
    refused = dict(read.refused)
    refused.pop("unknown_document", None)  # they belong to other groups
    return Questions(read.examples, refused)


def _names(document: DocumentRow) -> Iterable[str]:
    """What a question file may call a document: id, URI, the end of its path, or that without the suffix."""
    path = document.uri.split("://", 1)[-1]
    parts = path.split("/")
    yield from (document.doc_id, document.uri)
    yield from ("/".join(parts[start:]) for start in range(len(parts)))
    yield parts[-1].rpartition(".")[0] or parts[-1]


def _from_teacher(night: Night, documents: Sequence[DocumentRow], teacher: TeacherConfig, per_document: int) -> Questions:
    client = connect_teacher(teacher)
    examples: list[Example] = []
    dropped: Counter[str] = Counter()
    for document in documents:
        reply = ask_teacher(client, teacher, document.doc_id, document.title, night.text(document.doc_id), per_document)
        examples += reply.examples
        dropped.update(reply.dropped)
    return Questions(examples, dict(dropped))
