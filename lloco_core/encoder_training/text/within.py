"""Rows that lie within one document, so that its segments follow one another: what long chains are trained on.

A document of n tokens gives n // T rows per epoch, cut from a start that every epoch draws anew; what is left over is
less than a row and falls to either end. Documents of less than a row give none.
Shape suffixes: N documents, R rows of an epoch, T tokens of a row.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lloco_core.encoder_training.text.cache import TokenCache
from lloco_core.errors import TrainingTextError


class DocumentRows:
    """Rows of single documents, numbered on and on through the epochs; row 0 of epoch 1 is number `per_epoch`."""

    def __init__(self, cache: TokenCache, documents_N: np.ndarray, row_tokens: int, seed: int) -> None:
        rows_N = cache.n_tokens[documents_N] // row_tokens
        self._cache = cache
        self._documents_N = documents_N[rows_N > 0]
        self._first_row_N = np.concatenate([[0], np.cumsum(rows_N[rows_N > 0])])
        self._row_tokens = row_tokens
        self._seed = seed
        self.per_epoch = int(self._first_row_N[-1])
        """Rows of one pass over the documents."""
        if not self.per_epoch:
            raise TrainingTextError(f"none of {len(documents_N)} documents has {row_tokens} tokens; lower row_tokens or pack the documents")
        self._epoch = lru_cache(maxsize=2)(self._plan)

    def row(self, number: int) -> np.ndarray:
        """Token ids [T] int64."""
        epoch, position = divmod(number, self.per_epoch)
        order_R, shift_N = self._epoch(epoch)
        row = int(order_R[position])
        place = int(np.searchsorted(self._first_row_N, row, side="right")) - 1
        within = (row - int(self._first_row_N[place])) * self._row_tokens + int(shift_N[place])
        start = int(self._cache.starts[self._documents_N[place]]) + within
        return self._cache.tokens[start : start + self._row_tokens].astype(np.int64)

    def _plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Shuffled rows, and where the first row of every document begins in it."""
        rng = np.random.default_rng([self._seed, epoch, 1])
        spare_N = self._cache.n_tokens[self._documents_N] % self._row_tokens
        return rng.permutation(self.per_epoch), rng.integers(spare_N + 1)
