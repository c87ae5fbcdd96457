"""Rows cut from documents that follow one another: every token of an epoch is used once, and nothing is padding.

Each epoch shuffles the documents, puts an end token behind each, cuts the whole into rows at a shifted start, and
shuffles the rows. Less than one row per epoch is left over; the shift makes it another one each time.
Shape suffixes: N documents, R rows of an epoch, T tokens of a row.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lloco_core.encoder_training.text.cache import TokenCache
from lloco_core.errors import TrainingTextError


class _Epoch(NamedTuple):
    order_N: np.ndarray
    """Documents in the order of this epoch."""
    starts_N: np.ndarray
    """Where each begins; one more for the end of the last."""
    cuts_R: np.ndarray
    """Where the rows begin, shuffled."""


class Place(NamedTuple):
    """The part of a document that lies in a row."""

    document: int
    """Its number in the cache."""
    skipped: int
    """Tokens of the document before the row."""
    at: int
    """Where its tokens begin in the row."""
    tokens: int
    is_whole: bool
    """All of the document is there."""


class PackedRows:
    """Rows of packed documents, numbered on and on through the epochs; row 0 of epoch 1 is number `per_epoch`."""

    def __init__(self, cache: TokenCache, documents_N: np.ndarray, row_tokens: int, end_id: int, seed: int) -> None:
        self._cache = cache
        self._documents_N = documents_N
        self._row_tokens = row_tokens
        self._end_id = end_id
        self._seed = seed
        self._length = int((cache.n_tokens[documents_N] + 1).sum())
        self.per_epoch = self._length // row_tokens
        """Rows of one pass over the documents."""
        if not self.per_epoch:
            raise TrainingTextError(f"{len(documents_N)} documents hold {self._length} tokens, no row of {row_tokens}; add text")
        self._epoch = lru_cache(maxsize=2)(self._plan)

    def row(self, number: int) -> np.ndarray:
        """Token ids [T] int64."""
        row_T = np.full(self._row_tokens, self._end_id, dtype=np.int64)
        for place in self.places(number):
            source = int(self._cache.starts[place.document]) + place.skipped
            row_T[place.at : place.at + place.tokens] = self._cache.tokens[source : source + place.tokens]
        return row_T

    def places(self, number: int) -> list[Place]:
        """The documents of a row."""
        epoch, position = divmod(number, self.per_epoch)
        plan = self._epoch(epoch)
        start = int(plan.cuts_R[position])
        first = int(np.searchsorted(plan.starts_N, start, side="right")) - 1
        last = int(np.searchsorted(plan.starts_N, start + self._row_tokens, side="left"))
        return [self._place(plan, number_in_order, start) for number_in_order in range(first, last)]

    def _place(self, plan: _Epoch, number_in_order: int, start: int) -> Place:
        begins = int(plan.starts_N[number_in_order])
        document = int(self._documents_N[plan.order_N[number_in_order]])
        length = int(self._cache.n_tokens[document])
        skipped, at = max(0, start - begins), max(0, begins - start)
        tokens = max(0, min(length - skipped, self._row_tokens - at))
        return Place(document, skipped, at, tokens, tokens == length)

    def _plan(self, epoch: int) -> _Epoch:
        rng = np.random.default_rng([self._seed, epoch, 0])
        order_N = rng.permutation(len(self._documents_N))
        lengths_N = self._cache.n_tokens[self._documents_N[order_N]] + 1
        shift = rng.integers(self._length - self.per_epoch * self._row_tokens + 1)
        cuts_R = shift + rng.permutation(self.per_epoch) * self._row_tokens
        return _Epoch(order_N, np.concatenate([[0], np.cumsum(lengths_N)]), cuts_R)
