"""Bootstrap intervals of means and of what is computed from means: percentile, seeded, over items or over clusters of items.

Questions about one document stand and fall together, so whole documents are drawn (with replacement, as many as there are) and all
items of a drawn document count. A pair of systems is compared on the same draws. Where all items score the same, so do all draws and the
interval has no width: with n clusters and no failure, a failure rate of up to about 3/n remains plausible.

Shape suffixes: N items, C clusters, M columns, R draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lloco_core.errors import ConfigurationError

Statistic = Callable[[np.ndarray], np.ndarray]
"""Means [R, M] of the columns -> one value per draw [R]."""

_ELEMENTS = 4_000_000
"""Gathered at a time."""


class Interval(NamedTuple):
    """A value and the bounds that its draws lie between."""

    value: float
    low: float
    high: float

    @property
    def bounds(self) -> list[float]:
        """Low and high, as result files hold them."""
        return [self.low, self.high]

    def rounded(self, digits: int) -> Interval:
        """For showing and for result files."""
        return Interval(*(round(number, digits) for number in self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How intervals are drawn."""

    draws: int = 10_000
    """R"""
    seed: int = 0
    """Equal seeds and data give equal bounds."""
    confidence: float = 0.95
    """Share of the draws between the bounds."""

    def __post_init__(self) -> None:
        if self.draws < 1 or not 0 < self.confidence < 1:
            raise ConfigurationError(f"draws {self.draws} and confidence {self.confidence} give no interval; use 1 or more and 0 < c < 1")


def first_column(means_RM: np.ndarray) -> np.ndarray:
    """The mean of the only column."""
    return means_RM[:, 0]


def interval(
    values: np.ndarray | Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    counts: np.ndarray | Sequence[float] | None = None,
    statistic: Statistic = first_column,
    bootstrap: Bootstrap = Bootstrap(),
) -> Interval:
    """Interval of a statistic of the columns' means.

    Args:
        values: per item [N], or [N, M].
        clusters: name of every item's document [N]; None: every item stands alone.
        counts: what every value is the total of [N], such as tokens of summed losses; None: 1 each.
        statistic: of the means; the only column's mean where none is given.
        bootstrap: how it is drawn.

    Raises:
        ConfigurationError: fewer than two clusters, or arrays of different lengths.
    """
    totals_CM, counts_C = _cluster_totals(_columns(values), clusters, counts)
    means_RM = _drawn_means(totals_CM, counts_C, bootstrap)
    return _bounded(statistic(_mean(totals_CM, counts_C)), statistic(means_RM), bootstrap)


def paired_difference(
    values: np.ndarray | Sequence[float],
    others: np.ndarray | Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    statistic: Statistic = first_column,
    bootstrap: Bootstrap = Bootstrap(),
) -> Interval:
    """Interval of the statistic of `values` less that of `others`, which are of the same items in the same order.

    Raises:
        ConfigurationError: fewer than two clusters, or arrays of different shapes.
    """
    first_NM, second_NM = _columns(values), _columns(others)
    if first_NM.shape != second_NM.shape:
        raise ConfigurationError(
            f"scores of shapes {first_NM.shape} and {second_NM.shape} are no pairs; score both systems on the same items"
        )
    size = first_NM.shape[1]

    def difference(means_RM: np.ndarray) -> np.ndarray:
        return statistic(means_RM[:, :size]) - statistic(means_RM[:, size:])

    return interval(np.hstack([first_NM, second_NM]), clusters, statistic=difference, bootstrap=bootstrap)


def _columns(values: np.ndarray | Sequence[float]) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values


def _cluster_totals(
    values_NM: np.ndarray, clusters: Sequence[str] | None, counts: np.ndarray | Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray]:
    items = len(values_NM)
    counts_N = np.ones(items) if counts is None else np.asarray(counts, dtype=np.float64)
    if len(counts_N) != items or (clusters is not None and len(clusters) != items):
        raise ConfigurationError(
            f"{items} values came with {len(counts_N)} counts and {items if clusters is None else len(clusters)} clusters; give one each"
        )
    index_N = np.arange(items) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    size = int(index_N.max(initial=-1)) + 1
    if size < 2:
        raise ConfigurationError(f"{items} items in {size} clusters have no interval; measure on two documents or more")
    totals_CM, counts_C = np.zeros((size, values_NM.shape[1])), np.zeros(size)
    np.add.at(totals_CM, index_N, values_NM)
    np.add.at(counts_C, index_N, counts_N)
    return totals_CM, counts_C


def _mean(totals_CM: np.ndarray, counts_C: np.ndarray) -> np.ndarray:
    return (totals_CM.sum(0) / counts_C.sum())[None]


def _drawn_means(totals_CM: np.ndarray, counts_C: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    random = np.random.default_rng(bootstrap.seed)
    size, columns = totals_CM.shape
    step = max(1, _ELEMENTS // (size * columns))
    parts = []
    for start in range(0, bootstrap.draws, step):
        drawn_RC = random.integers(0, size, (min(step, bootstrap.draws - start), size))
        parts.append(totals_CM[drawn_RC].sum(1) / counts_C[drawn_RC].sum(1)[:, None])
    return np.concatenate(parts)


def _bounded(value: np.ndarray, drawn_R: np.ndarray, bootstrap: Bootstrap) -> Interval:
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(drawn_R, [tail, 1 - tail])
    return Interval(float(value[0]), float(low), float(high))
