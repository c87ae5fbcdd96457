"""The retrieval curriculum: a row of text becomes a row with facts in it and questions about it.

Language-model loss alone teaches summary vectors the gist; exact strings are kept only when something asks for them
after the text is gone. Three kinds of questions are made by rule, without a teacher: about inserted facts, about the
text's own sentences, and for the words that follow a cue; some are asked much later. The same seed gives the same
questions, and evaluations ask them about documents that were never trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from lloco_core.config import ANSWER_SLOT, QUESTION_SLOT
from lloco_core.encoder_training.text import names
from lloco_core.encoder_training.text.config import FACT_STYLES, LITERAL_STYLES
from lloco_core.encoder_training.text.facts import Fact, make_fact
from lloco_core.encoder_training.text.familiar import KnownWords
from lloco_core.encoder_training.text.literal import ask
from lloco_core.encoder_training.text.phrases import NO_PHRASES, Phrases
from lloco_core.encoder_training.text.placing import TokenKinds, place_facts
from lloco_core.encoder_training.text.recall import recall
from lloco_core.encoder_training.text.reserved import RESERVED_PHRASES, is_reserved
from lloco_core.encoder_training.text.rowtext import RowText, Sentence, is_whole
from lloco_core.encoder_training.text.written import write_out

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.config import CurriculumConfig
    from lloco_core.encoder_training.text.tokens import TextTokenizer


class Task(NamedTuple):
    """A question about a row."""

    style: str
    question: str
    answer: str
    told: int
    """Tokens of the row it takes to know the answer."""
    after: int
    """Tokens of the row after which it is asked."""


class AskedRow(NamedTuple):
    """A row with facts in it, and its questions in the order they are asked."""

    row_T: np.ndarray
    body: int
    """Tokens before the fact that the row ends with; all of them where it ends with none."""
    tasks: list[Task]


class Curriculum:
    """Makes questions about rows; threads may share it."""

    def __init__(self, config: CurriculumConfig, tokenizer: TextTokenizer) -> None:
        self.config = config
        self._tokenizer = tokenizer
        self._kinds = TokenKinds(tokenizer.pieces)
        self._known = KnownWords.of(tokenizer.pieces)
        self._fact_styles = [style for style in FACT_STYLES if style not in config.held_out_styles]
        self._literal_styles = [style for style in LITERAL_STYLES if style not in config.held_out_styles]

    def ask(self, row_T: np.ndarray, rng: Random) -> AskedRow:
        """Put facts into a row of token ids [T] int64 and ask about it; a text that suits no rule gets fewer questions."""
        count = max(1, len(row_T) // self.config.tokens_per_answer)
        weights = (self.config.facts, self.config.literal, self.config.recall)
        kinds = rng.choices(("facts", "literal", "recall"), weights, k=count)
        facts = self._facts(row_T, kinds.count("facts"), rng)
        row_T, placed = place_facts(row_T, facts, self._tokenizer, self._kinds, self.config, rng)
        text = RowText(row_T, self._tokenizer.pieces)
        made = [Task(fact.style, fact.question, fact.answer, end, end) for fact, _, end in placed]
        made += self._literal(text, [fact for fact, _, _ in placed], kinds.count("literal"), rng)
        made += self._recall(row_T, text, kinds.count("recall"), rng)
        unique = {task.question: self._delayed(task, len(row_T), rng) for task in made if _may_be_asked(task)}
        body = placed[-1].start if placed and placed[-1].end == len(row_T) else len(row_T)
        return AskedRow(row_T, body, sorted(unique.values(), key=lambda task: task.after))

    def write(self, row_T: np.ndarray, rng: Random) -> np.ndarray:
        """The row [T] int64 with facts in it and the questions, with their answers, written out at its end."""
        asked = self.ask(row_T, rng)
        questions = [torch.cat([prompt, answer]).numpy() for _, prompt, answer in self.tokenise(asked.tasks)]
        return write_out(asked, questions, rng)

    def tokenise(self, tasks: list[Task]) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
        """`after`, prompt ids [P], and answer ids [A] with the end token, int64, of every task, as they are served."""
        wording = self.config.answer
        prompts = self._tokenizer.encode_wording(wording.question_template, QUESTION_SLOT, [task.question for task in tasks])
        answers = self._tokenizer.encode_wording(wording.answer_template, ANSWER_SLOT, [task.answer for task in tasks])
        return [
            (task.after, _tensor(prompt), _tensor(np.append(answer, self._tokenizer.end_id)))
            for task, prompt, answer in zip(tasks, prompts, answers, strict=True)
        ]

    def _facts(self, row_T: np.ndarray, count: int, rng: Random) -> list[Fact]:
        """No two have the same question: the row would hold two answers."""
        made: dict[str, Fact] = {}
        phrases = Phrases.of(RowText(row_T, self._tokenizer.pieces).text) if count else NO_PHRASES
        for _ in range(count):
            known = self._known if rng.random() < self.config.familiar else None
            fact = make_fact(rng.choice(self._fact_styles), rng, known or names, phrases)
            made[fact.question] = fact
        return list(made.values())

    def _literal(self, text: RowText, facts: list[Fact], count: int, rng: Random) -> Iterator[Task]:
        """Styles take turns, as some suit every sentence and others few."""
        if not count:
            return
        sentences = [item for item in text.sentences if is_whole(item.text) and not any(fact.sentence in item.text for fact in facts)]
        rng.shuffle(sentences)
        left = {style: iter(sentences) for style in rng.sample(self._literal_styles, len(self._literal_styles))}
        while count and left:
            for style in list(left):
                task = _next_literal(style, left[style], text, rng) if count else None
                if task:
                    count -= 1
                    yield task
                elif count:
                    del left[style]

    def _recall(self, row_T: np.ndarray, text: RowText, count: int, rng: Random) -> Iterator[Task]:
        for _ in range(count):
            found = recall(row_T, text, self._tokenizer.pieces, self._kinds.begins_word_V, self.config, rng)
            if found:
                yield Task("recall", found.question, found.answer, found.end, found.end)

    def _delayed(self, task: Task, row_tokens: int, rng: Random) -> Task:
        earliest = task.told + min(self.config.segment_tokens)
        if rng.random() >= self.config.older or earliest > row_tokens:
            return task
        return task._replace(after=rng.randint(earliest, row_tokens))


def _next_literal(style: str, sentences: Iterator[Sentence], text: RowText, rng: Random) -> Task | None:
    for sentence in sentences:
        if asked := ask(style, sentence.text, rng):
            told = text.tokens_to(sentence.end)
            return Task(style, *asked, told, told)
    return None


def _may_be_asked(task: Task) -> bool:
    return not is_reserved(task.answer) and not any(phrase in task.question.lower() for phrase in RESERVED_PHRASES)


def _tensor(ids_T: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(ids_T.astype(np.int64))
