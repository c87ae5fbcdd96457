"""Rows of documents that people asked about: their questions, each given once what it takes to answer it has been read.

Documents stand packed in the row, so a short passage has others beside it that do not hold the answer. A question is asked in the rows that
hold its answer word for word, one without such an answer (yes or no, a summary) where its whole document lies in the row. Questions
that nothing in the row answers have one answer, `refusal`: those that people could not answer, and some about other documents.
Shape suffix: T tokens of a row.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lloco_core.encoder_training.text.curriculum import Task
from lloco_core.encoder_training.text.files import find_files, open_unpacked
from lloco_core.encoder_training.text.packing import PackedRows, Place
from lloco_core.encoder_training.text.rowtext import RowText, is_whole
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.errors import TrainingTextError
from lloco_core.fingerprint import digest

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.config import QuestionFilesConfig, RowsConfig, TextConfig
    from lloco_core.encoder_training.text.tokens import TextTokenizer

SPAN = "span"
"""The kind of question whose answer stands in its document."""


class PersonsQuestion(NamedTuple):
    """A question as its file has it."""

    question: str
    answers: tuple[str, ...]
    """Any one is right; none where the document does not answer it."""
    is_span: bool


class RowQuestion(NamedTuple):
    """A question that a row answers, or that nothing answers."""

    task: Task
    question: PersonsQuestion
    document: str
    """Id of the document it is about."""


class AskedRows:
    """Rows with their questions, numbered as `PackedRows`. Threads may share them.

    Raises:
        TrainingTextError: the files hold no question, or too little text for a row.
    """

    def __init__(self, shape: RowsConfig, config: TextConfig, tokenizer: TextTokenizer) -> None:
        self._config: QuestionFilesConfig = config.questions
        cache = open_token_cache(config.model_copy(update={"files": self._config.files, "drop": None}), tokenizer)
        asked = read_questions(self._config)
        self._names = cache.ids()
        self._questions = [asked.get(name, []) for name in self._names]
        self._documents = [number for number, questions in enumerate(self._questions) if questions]
        if not self._documents:
            raise TrainingTextError(f"text.questions.files {', '.join(self._config.files)} hold no question about a document of theirs")
        self._rows = PackedRows(cache, np.asarray(self._documents), shape.row_tokens, tokenizer.end_id, config.seed)
        self._tokenizer = tokenizer
        self._older, self._count = config.curriculum.older, max(1, shape.row_tokens // self._config.tokens_per_question)
        self.per_epoch = self._rows.per_epoch
        """Rows of one pass over the documents."""
        self.fingerprint = digest([cache.contents, sorted(asked.items()), self._config.model_dump(exclude={"files"})])
        """Names everything that decides about the questions."""

    def row(self, number: int) -> np.ndarray:
        """Token ids [T] int64."""
        return self._rows.row(number)

    def tasks(self, number: int, row_T: np.ndarray, rng: Random) -> list[Task]:
        """The questions of a row, in the order they are asked."""
        found = [item.task for item in self.questions(number, row_T)]
        found = rng.sample(found, min(len(found), self._count))
        foreign = sum(rng.random() < self._config.foreign for _ in range(len(found)))
        found += [self._foreign(number, len(row_T), rng) for _ in range(foreign)]
        unique = {task.question: self._delayed(task, len(row_T), rng) for task in found}
        return sorted(unique.values(), key=lambda task: task.after)

    def questions(self, number: int, row_T: np.ndarray) -> list[RowQuestion]:
        """All questions of a row that can be asked of it, each as soon as its answer was read."""
        text = RowText(row_T, self._tokenizer.pieces)
        found = [item for place in self._rows.places(number) for item in self._of_document(place, text)]
        return [item for item in found if len(item.task.answer) <= self._config.longest_answer and is_whole(item.task.answer)]

    def _of_document(self, place: Place, text: RowText) -> list[RowQuestion]:
        first, last = text.characters_to(place.at), text.characters_to(place.at + place.tokens)
        part, name = text.text[first:last].lower(), self._names[place.document]
        found = []
        for question in self._questions[place.document]:
            if not question.answers or not question.is_span:
                if place.is_whole:
                    answer = min(question.answers, key=len) if question.answers else self._config.refusal
                    found.append(RowQuestion(_task(question, answer, place.at + place.tokens), question, name))
                continue
            answer = next((given for given in question.answers if given.lower() in part), None)
            if answer is not None:
                end = first + part.index(answer.lower()) + len(answer)
                found.append(RowQuestion(_task(question, answer, text.tokens_to(end)), question, name))
        return found

    def _foreign(self, number: int, row_tokens: int, rng: Random) -> Task:
        """A question about a document that is not in the row."""
        here = {place.document for place in self._rows.places(number)}
        while (document := rng.choice(self._documents)) in here and len(here) < len(self._documents):
            pass
        question = rng.choice(self._questions[document]).question
        return Task("foreign", question, self._config.refusal, row_tokens, row_tokens)

    def _delayed(self, task: Task, row_tokens: int, rng: Random) -> Task:
        if rng.random() >= self._older:
            return task
        return task._replace(after=rng.randint(task.told, row_tokens))


def read_questions(config: QuestionFilesConfig) -> dict[str, list[PersonsQuestion]]:
    """Questions by document id. A line without them, or a damaged one, has none: the text's own reading counts it."""
    found: dict[str, list[PersonsQuestion]] = {}
    for file in find_files(config.files):
        with open_unpacked(file) as stream:
            for line in stream:
                row = _row(line)
                if asked := [question for item in row.get("questions") or () if (question := _question(item))]:
                    found.setdefault(str(row.get("id")), []).extend(asked)
    return found


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _question(item: Any) -> PersonsQuestion | None:
    if not isinstance(item, dict) or not isinstance(item.get("question"), str) or not item["question"].strip():
        return None
    answers = tuple(answer.strip() for answer in item.get("answers") or () if isinstance(answer, str) and answer.strip())
    if not answers and item.get("answerable", True):
        return None
    return PersonsQuestion(item["question"].strip(), answers, item.get("kind", SPAN) == SPAN)


def _task(question: PersonsQuestion, answer: str, told: int) -> Task:
    return Task("asked", question.question, answer, told, told)
