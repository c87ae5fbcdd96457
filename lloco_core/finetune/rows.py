"""Training rows: a question and its answer about one document, on disk and as token ids beside summary vectors.

A row is `[vectors ; prompt ; answer ; EOS]` (LLoCO paper, section 4). Prompt and answer are tokenised apart, without
special tokens; a text that spells a special token stays text. The holdout depends on the rows and the seed alone, so
every worker and every resumed run finds the same one. Called by the training workers; knows neither torch nor the store.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lloco_core.compressor.tokenizing import wording_ids
from lloco_core.config import ANSWER_SLOT, QUESTION_SLOT
from lloco_core.errors import ConfigurationError, EncodingError, StorageError
from lloco_core.fingerprint import digest
from lloco_core.objects import open_at
from lloco_core.types import Example

if TYPE_CHECKING:
    from lloco_core.config import AnswerConfig

EXAMPLE_SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("doc_id", "question", "answer")])


@dataclass(frozen=True, slots=True)
class Row:
    """One training row. Legend: K summary vectors, D hidden size."""

    vectors_KD: np.ndarray
    """float16."""
    prompt_ids: list[int]
    answer_ids: list[int]
    """Ends with EOS; the only ids the loss sees."""

    def __len__(self) -> int:
        return len(self.vectors_KD) + len(self.prompt_ids) + len(self.answer_ids)


class Rows(Protocol):
    """What is trained on: rows by number, made when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row: ...


def write_examples(uri: str, examples: Iterable[Example]) -> None:
    """Write examples as one parquet object (folder path or s3://)."""
    rows = [{"doc_id": example.doc_id, "question": example.question, "answer": example.answer} for example in examples]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA), buffer)
    objects, key = open_at(uri)
    objects.put(key, buffer.getvalue())


def read_examples(uri: str) -> list[Example]:
    """Read what `write_examples` wrote; `StorageError` when it is missing or something else."""
    objects, key = open_at(uri)
    data = objects.get(key)
    try:
        table = pq.read_table(io.BytesIO(data), columns=EXAMPLE_SCHEMA.names)
    except (pa.ArrowInvalid, KeyError) as error:
        raise StorageError(f"{uri} is not a parquet file of examples ({error}); write it with write_examples") from error
    return [Example(**row) for row in table.to_pylist()]


def split_holdout(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Split into (training, held out) by a hash of document and question.

    Rows that ask the same of the same document stay on one side, and a row does not change sides when others come or
    go. With two or more questions and a share above 0 neither side is left empty.
    """
    place = {key: int(digest([seed, *key], 12), 16) / 16**12 for key in {(row.doc_id, row.question) for row in examples}}
    held = {key for key in place if place[key] < share}
    if share > 0 and len(place) > 1:
        held = held or {min(place, key=place.__getitem__)}
        if len(held) == len(place):
            held.remove(max(place, key=place.__getitem__))
    elif len(place) == 1:
        held = set()
    train = [row for row in examples if (row.doc_id, row.question) not in held]
    return train, [row for row in examples if (row.doc_id, row.question) in held]


def prompt_ids(tokenizer: Any, question: str, answer: AnswerConfig) -> list[int]:
    """Token ids that follow the vectors when `question` is put to the model."""
    return wording_ids(tokenizer, answer.question_template, QUESTION_SLOT, question).tolist()


def answer_ids(tokenizer: Any, given: str, answer: AnswerConfig) -> list[int]:
    """Token ids that follow the prompt in a training row, the end token included."""
    return [*wording_ids(tokenizer, answer.answer_template, ANSWER_SLOT, given).tolist(), tokenizer.eos_token_id]


class FinetuneDataset:
    """Examples as rows, tokenised on access; the vectors of recently used documents are kept."""

    def __init__(
        self,
        examples: Sequence[Example],
        vectors_of: Callable[[str], np.ndarray],
        tokenizer: Any,
        answer: AnswerConfig,
        cached_documents: int = 64,
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise ConfigurationError(f"tokenizer {tokenizer.name_or_path!r} has no EOS token; set eos_token in tokenizer_config.json")
        self._examples = examples
        self._vectors_of = lru_cache(maxsize=cached_documents)(vectors_of)
        self._tokenizer = tokenizer
        self._answer = answer

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Row:
        example = self._examples[index]
        vectors_KD = self._vectors_of(example.doc_id)
        if vectors_KD.ndim != 2 or not np.isfinite(vectors_KD).all():
            raise EncodingError(
                f"vectors of document {example.doc_id} have shape {vectors_KD.shape} or hold values that are not finite; encode it again"
            )
        return Row(
            vectors_KD=vectors_KD.astype(np.float16, copy=False),
            prompt_ids=prompt_ids(self._tokenizer, example.question, self._answer),
            answer_ids=answer_ids(self._tokenizer, example.answer, self._answer),
        )
