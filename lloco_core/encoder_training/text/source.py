"""Which rows make the batch of a rank at a step, and the batch itself: a pure function of configuration and position.

Every batch has rows of one configured shape; the shapes take turns by their shares, the same on all ranks. The rows of
a shape are numbered through all epochs; a step takes the next `rows x ranks`, and rank r the r-th part of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lloco_core.encoder_training.batch import Answer, Batch
from lloco_core.encoder_training.text.asked import AskedRows
from lloco_core.encoder_training.text.curriculum import Curriculum
from lloco_core.encoder_training.text.packing import PackedRows
from lloco_core.encoder_training.text.within import DocumentRows
from lloco_core.errors import TrainingTextError
from lloco_core.fingerprint import digest

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.cache import Split, TokenCache
    from lloco_core.encoder_training.text.config import RowsConfig, TextConfig
    from lloco_core.encoder_training.text.tokens import TextTokenizer


@dataclass(frozen=True, slots=True)
class Position:
    """How far training got: one number per shape."""

    batches: tuple[int, ...]
    """Steps that took this shape; they decide whose turn it is."""
    rows: tuple[int, ...]
    """Rows taken by all ranks together."""


class TextSource:
    """The batches of one rank. Holds no position: whoever iterates does."""

    def __init__(
        self, config: TextConfig, cache: TokenCache, tokenizer: TextTokenizer, split: Split = "train", rank: int = 0, world_size: int = 1
    ) -> None:
        self._arguments = (config, cache, tokenizer, split, rank, world_size)
        self._config = config
        self._tokenizer = tokenizer
        self._rank = rank
        self._world_size = world_size
        documents = cache.documents(split, config.validation)
        self._rows = [_rows(shape, config, cache, documents, tokenizer) for shape in config.rows]
        asks = any(shape.with_answers or shape.kind == "asked" for shape in config.rows)
        self._curriculum = Curriculum(config.curriculum, tokenizer) if asks else None
        self.start = Position((0,) * len(config.rows), (0,) * len(config.rows))
        """Before the first step."""
        shapes = [shape.model_dump() for shape in config.rows]
        asked = [rows.fingerprint for rows in self._rows if isinstance(rows, AskedRows)]
        identity = [cache.contents, split, config.validation, shapes, config.curriculum.model_dump(), config.seed]
        self.fingerprint = digest(identity + asked)
        """Names everything that decides about the rows and their order, but not ranks and batches."""

    def __reduce__(self) -> tuple[type[TextSource], tuple[object, ...]]:
        return TextSource, self._arguments

    @property
    def rows_per_epoch(self) -> tuple[int, ...]:
        """Of every shape."""
        return tuple(rows.per_epoch for rows in self._rows)

    def after(self, position: Position) -> Position:
        """The position after the step at a position."""
        shape = self._turn(position)
        taken = self._rows_per_rank(shape) * self._world_size
        return Position(_plus(position.batches, shape, 1), _plus(position.rows, shape, taken))

    def batch(self, position: Position) -> Batch:
        """The batch of this rank for the step at a position."""
        shape = self._turn(position)
        count = self._rows_per_rank(shape)
        first = position.rows[shape] + self._rank * count
        rows, answers = [], []
        for index in range(count):
            row_T, asked = self._row(shape, first + index)
            rows.append(row_T)
            answers += [Answer(index, after, prompt, answer) for after, prompt, answer in asked]
        return Batch(torch.from_numpy(np.stack(rows)), answers)

    def _row(self, shape: int, number: int) -> tuple[np.ndarray, list[tuple[int, torch.Tensor, torch.Tensor]]]:
        row_T = self._rows[shape].row(number)
        rng = random.Random(f"{self._config.seed} {shape} {number}")  # noqa: S311 (reproducible, not secret)
        drawn, rows, numbered = rng.random(), self._config.rows[shape], self._rows[shape]
        if isinstance(numbered, AskedRows):
            return row_T, self._curriculum.tokenise(numbered.tasks(number, row_T, rng))
        if self._curriculum is None or drawn >= rows.with_answers:
            return row_T, []
        if drawn < rows.with_answers * rows.written_out:
            return self._curriculum.write(row_T, rng), []
        asked = self._curriculum.ask(row_T, rng)
        return asked.row_T, self._curriculum.tokenise(asked.tasks)

    def _turn(self, position: Position) -> int:
        """The shape that is furthest behind its share since it joined."""
        behind = [due - done for due, done in zip(self._due(sum(position.batches) + 1), position.batches, strict=True)]
        return behind.index(max(behind))

    def _due(self, n_batches: int) -> list[float]:
        """How many of the first `n_batches` belong to each shape: between two joinings the shares of those that take part."""
        shapes, due = self._config.rows, [0.0] * len(self._config.rows)
        joinings = sorted({shape.after_batches for shape in shapes if shape.after_batches < n_batches})
        for start, end in pairwise([*joinings, n_batches]):
            total = sum(shape.share for shape in shapes if shape.after_batches <= start)
            for index, shape in enumerate(shapes):
                due[index] += (end - start) * shape.share / total if shape.after_batches <= start else 0
        return due

    def _rows_per_rank(self, shape: int) -> int:
        return self._config.batch_tokens // self._config.rows[shape].row_tokens

    def check(self, state: dict[str, Any]) -> Position:
        """The position that `TextLoader.state_dict` saved; `TrainingTextError` when it belongs to another text."""
        if state["fingerprint"] != self.fingerprint:
            raise TrainingTextError(
                f"the saved position belongs to text {state['fingerprint']}, and this is {self.fingerprint}: files, tokenizer, dropped "
                "ids, rows, curriculum, or seed changed; resume with the same, or begin a new run"
            )
        return Position(tuple(state["batches"]), tuple(state["rows"]))


def _rows(
    shape: RowsConfig, config: TextConfig, cache: TokenCache, documents: np.ndarray, tokenizer: TextTokenizer
) -> PackedRows | DocumentRows | AskedRows:
    if shape.kind == "asked":
        return AskedRows(shape, config, tokenizer)
    long_enough = documents[cache.n_tokens[documents] >= shape.shortest_document]
    if shape.kind == "packed":
        return PackedRows(cache, long_enough, shape.row_tokens, tokenizer.end_id, config.seed)
    return DocumentRows(cache, long_enough, shape.row_tokens, config.seed)


def _plus(counts: tuple[int, ...], index: int, amount: int) -> tuple[int, ...]:
    return tuple(count + amount * (place == index) for place, count in enumerate(counts))
