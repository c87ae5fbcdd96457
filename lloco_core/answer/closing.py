"""The closing questions of a night: asked with vectors and adapter, and, as a control, without vectors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING

from lloco_core.answer.ask import Asker
from lloco_core.corpus.jsonl import jsonl_rows
from lloco_core.corpus.reasons import Rejected
from lloco_core.errors import ConfigurationError, in_one_line
from lloco_core.finetune.rows import read_examples, split_holdout
from lloco_core.objects import open_at
from lloco_core.store.status import find_documents

if TYPE_CHECKING:
    from lloco_core.config import FinetuneConfig
    from lloco_core.store.read import Night


@dataclass(frozen=True, slots=True)
class ClosingQuestion:
    """A question to ask; the document and the expected answer where they are known."""

    question: str
    doc_id: str | None = None
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class ClosingAnswer:
    """A question with what was said with and without vectors."""

    question: str
    answer: str
    without_vectors: str
    expected: str | None
    is_in_source: bool
    """The answer's words stand, in this order, in the document it was read from."""
    group: str
    adapter_id: str | None
    source_uri: str
    quote: str
    failure: str | None = None
    """Why the question has no answer."""


def read_closing_questions(uri: str, night: Night, limit: int) -> list[ClosingQuestion]:
    """Read questions from a jsonl file; those about documents that the night does not have are left out."""
    objects, key = open_at(uri)
    questions = []
    for number, row in jsonl_rows(objects.get(key)):
        if isinstance(row, Rejected) or not row.get("question"):
            raise ConfigurationError(
                f"closing.file {uri}, line {number + 1}: expected a JSON object with `question`, may be `document`, `answer`"
            )
        found = find_documents(night, row["document"]) if row.get("document") else []
        if found or not row.get("document"):
            questions.append(ClosingQuestion(row["question"], found[0].doc_id if found else None, row.get("answer")))
    return questions[:limit]


def held_out_questions(night: Night, recipe: FinetuneConfig, limit: int) -> list[ClosingQuestion]:
    """Questions that the night's adapters were not trained on, group by group in turn."""
    per_group = []
    for adapter_id in night.adapters.values():
        examples = read_examples(f"{night.store.root}/_training/{adapter_id}.parquet")
        _, held_out = split_holdout(examples, recipe.holdout, recipe.seed)
        per_group.append([ClosingQuestion(row.question, row.doc_id, row.answer) for row in held_out if night.document(row.doc_id)])
    in_turn = (question for turn in zip_longest(*per_group) for question in turn if question)
    return list(islice(in_turn, limit))


def answer_closing_questions(store_uri: str, questions: list[ClosingQuestion], night: str | None = None) -> list[ClosingAnswer]:
    """Ask all questions of one store; what fails of them becomes their answer's `failure`."""
    asker = Asker(store_uri, night)
    return [_ask_or_say_why(asker, question) for question in questions]


def _ask_or_say_why(asker: Asker, question: ClosingQuestion) -> ClosingAnswer:
    try:
        return _ask(asker, question)
    except Exception as error:  # noqa: BLE001 - models and stores raise anything, and the night is committed: its report comes first
        return ClosingAnswer(str(question.question), "", "", question.expected, False, "", None, "", "", failure=in_one_line(error))


def _ask(asker: Asker, question: ClosingQuestion) -> ClosingAnswer:
    answer = asker.ask(question.question, doc_id=question.doc_id)
    source = answer.sources[0]
    return ClosingAnswer(
        question=question.question,
        answer=answer.text,
        without_vectors=asker.without_context(question.question),
        expected=question.expected,
        is_in_source=_words(answer.text) != [] and _contains(_words(asker.night.text(source.doc_id)), _words(answer.text)),
        group=answer.group,
        adapter_id=answer.adapter_id,
        source_uri=source.uri,
        quote=" ".join(source.quote.split())[:200],
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _contains(words: list[str], part: list[str]) -> bool:
    return any(words[start : start + len(part)] == part for start in range(len(words) - len(part) + 1))
