"""Questions by people about rows of packed documents, as they are asked of an encoder: cases for `asking.Asking`.

A row has a fixed length, so that it is so many segments; the document that holds the answer stands among others.
Shape suffix: T tokens of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from lloco_core.encoder_training.text.asked import AskedRows
from lloco_core.encoder_training.text.config import CurriculumConfig, QuestionFilesConfig, RowsConfig, TextConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from lloco_core.encoder_training.text.tokens import TextTokenizer


@dataclass(frozen=True, slots=True)
class PersonCase:
    """A question about a row, see `asking.AskedCase`."""

    case_id: str
    document_id: str
    """The row: its questions stand and fall together."""
    token_ids_T: np.ndarray
    question: str
    references: tuple[str, ...]
    """Any one is right; none where the row does not answer it."""
    source: str
    """The set that the question is from: what stands before the first `/` of its document's id."""


def person_cases(
    files: Sequence[str], cache: str, tokenizer: TextTokenizer, *, row_tokens: int, per_source: int, seed: int = 0
) -> list[PersonCase]:
    """A seeded sample of the questions of files.

    Args:
        files, cache: as `QuestionFilesConfig.files` and `TextConfig.cache`.
        tokenizer: of the encoder.
        row_tokens: length of every row.
        per_source: questions of every set at most.

    Raises:
        TrainingTextError: the files hold no question, or too little text for a row.
    """
    questions = QuestionFilesConfig(files=tuple(files))
    shape = RowsConfig(kind="asked", row_tokens=row_tokens)
    config = TextConfig(
        files=tuple(files),
        cache=cache,
        rows=(shape,),
        batch_tokens=row_tokens,
        curriculum=CurriculumConfig(),
        questions=questions,
        seed=seed,
    )
    rows = AskedRows(shape, config, tokenizer)
    by_source: dict[str, list[PersonCase]] = {}
    for number in range(rows.per_epoch):
        row_T = rows.row(number)
        for item in rows.questions(number, row_T):
            source = item.document.partition("/")[0]
            found = by_source.setdefault(source, [])
            name = f"{source}-{number}-{len(found)}"
            found.append(PersonCase(name, str(number), row_T, item.question.question, item.question.answers, source))
    rng = Random(seed)  # noqa: S311 (reproducible, not secret)
    return [case for _, found in sorted(by_source.items()) for case in rng.sample(found, min(per_source, len(found)))]
