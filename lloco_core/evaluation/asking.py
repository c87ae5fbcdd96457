"""Answers to questions about documents, from an encoder's vectors or from what they are compared with.

| context | what comes before the question |
|---|---|
| `vectors` | the document's vectors |
| `wrong` | another document's vectors |
| `none` | nothing |
| `full_text` | the document's text, read by the same model |

Shape suffixes: T tokens, P vectors, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from lloco_core.answer.local import LocalAnswerer
from lloco_core.config import AnswerConfig
from lloco_core.errors import ConfigurationError, DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from lloco_core.compressor.encoder import ContextEncoder

Context = Literal["vectors", "wrong", "none", "full_text"]


class AskedCase(Protocol):
    """A question about a document: a `NeedleCase`, a `RuleCase`."""

    @property
    def case_id(self) -> str:
        """Names the case."""
        ...

    @property
    def document_id(self) -> str:
        """What intervals draw as a whole, and what another document differs in."""
        ...

    @property
    def token_ids_T(self) -> np.ndarray:
        """The document."""
        ...

    @property
    def question(self) -> str:
        """Without the wording around it."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """The same questions in every context; documents are encoded once."""

    encoder: ContextEncoder
    cases: Sequence[AskedCase]
    config: AnswerConfig
    """Wording and length of the answers."""
    batch: int = 16
    """Questions answered at once."""
    _vectors: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False)

    def answers(self, context: Context) -> dict[str, str]:
        """Answers by case id.

        Raises:
            DatasetError: no cases, or two of one id.
            ConfigurationError: the texts are too long for the model, or there is no other document.
        """
        if not self.cases or len({case.case_id for case in self.cases}) < len(self.cases):
            raise DatasetError(f"{len(self.cases)} cases cannot be asked; give one or more, each with an id of its own")
        contexts, answerer = self._contexts(context), LocalAnswerer(self.encoder, self.config)
        made = answer_in_batches(answerer, [case.question for case in self.cases], contexts, self.batch)
        return {case.case_id: answer for case, answer in zip(self.cases, made, strict=True)}

    def _contexts(self, context: Context) -> Sequence[np.ndarray | None]:
        if context == "none":
            return [None] * len(self.cases)
        if context == "full_text":
            return self._texts()
        if context not in ("vectors", "wrong"):
            raise ConfigurationError(f"context {context!r} is unknown; use vectors, wrong, none, or full_text")
        self._encode()
        cases = self.cases if context == "vectors" else self._others()
        return [self._vectors[_key(case)] for case in cases]

    def _encode(self) -> None:
        missing = {_key(case): case.token_ids_T for case in self.cases if _key(case) not in self._vectors}
        if missing:
            found = self.encoder.encode(list(missing.values()))
            self._vectors.update({key: vectors_PH.float().numpy() for key, vectors_PH in zip(missing, found, strict=True)})

    def _others(self) -> list[AskedCase]:
        """Per case the next one that is about another document."""
        count = len(self.cases)
        if len({case.document_id for case in self.cases}) < 2:
            raise ConfigurationError(f"all {count} questions are about {self.cases[0].document_id!r}; 'wrong' needs two documents")
        return [next(other for other in self._from(at + 1) if other.document_id != case.document_id) for at, case in enumerate(self.cases)]

    def _from(self, start: int) -> Sequence[AskedCase]:
        turn = start % len(self.cases)
        return [*self.cases[turn:], *self.cases[:turn]]

    def _texts(self) -> list[np.ndarray]:
        limit, room = self.encoder.model.config.max_position_embeddings, self.config.max_new_tokens
        longest = max(len(case.token_ids_T) for case in self.cases)
        if longest + room >= limit:
            raise ConfigurationError(
                f"a text of {longest} tokens and an answer of {room} do not fit the {limit} positions of the model; ask about shorter texts"
            )
        return [case.token_ids_T for case in self.cases]


def answer_in_batches(
    answerer: LocalAnswerer,
    questions: Sequence[str],
    contexts: Sequence[np.ndarray | None],
    batch: int,
    adapter: Path | None = None,
) -> list[str]:
    """Answers in the order of the questions; those with contexts of about one length are answered at once.

    Args:
        answerer: of the encoder.
        questions: without the wording around them.
        contexts: per question vectors [P, H], token ids [T] of a text, or None.
        batch: questions answered at once.
        adapter: folder of the adapter for all of them.
    """
    order = sorted(range(len(questions)), key=lambda at: 0 if (found := contexts[at]) is None else len(found))
    answers = [""] * len(questions)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        made = answerer.answer_all([questions[at] for at in chosen], [contexts[at] for at in chosen], adapter)
        for at, answer in zip(chosen, made, strict=True):
            answers[at] = answer
    return answers


def answer_cases(
    encoder: ContextEncoder,
    cases: Sequence[AskedCase],
    config: AnswerConfig = AnswerConfig(),  # noqa: B008 - frozen
    batch: int = 16,
) -> dict[str, str]:
    """Answers from vectors by case id, as `needle_table` wants them."""
    return Asking(encoder, cases, config, batch).answers("vectors")


def _key(case: AskedCase) -> bytes:
    return np.ascontiguousarray(case.token_ids_T, dtype=np.int64).tobytes()
