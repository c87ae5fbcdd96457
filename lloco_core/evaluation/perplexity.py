"""Perplexity of the same tokens under several conditions of context, each with an interval over documents.

| condition | what comes before the scored tokens |
|---|---|
| `base_none`, `base_text` | nothing, or the text itself, read by the model that the encoder came from |
| `none`, `text` | the same, read by the encoder's own model |
| `vectors_1`, `vectors_2`, `vectors_3` | the vectors of that many segments that end where the scored tokens begin |
| `wrong` | another document's vectors, as many as `vectors_3` |

A condition is measured by any function that gives summed losses; `continuation` has that of AutoCompressors.

Shape suffixes: N windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lloco_core.evaluation.intervals import Bootstrap, interval

CONDITIONS = ("base_none", "base_text", "none", "text", "vectors_1", "vectors_2", "vectors_3", "wrong")
DIGITS = 3


class Losses(NamedTuple):
    """Negative log-likelihoods of the windows of one condition, in nats."""

    sums_N: np.ndarray
    tokens_N: np.ndarray
    """Scored tokens of every window."""


def perplexity_table(
    measure: Callable[[str], Losses],
    documents: Sequence[str],
    conditions: Sequence[str] = CONDITIONS,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """exp(mean loss per token) per condition, as result files hold it.

    Args:
        measure: condition -> losses of all windows.
        documents: every window's document [N], which intervals draw as a whole.
        conditions: which to measure, in this order.
        bootstrap: how intervals are drawn.

    Returns:
        The perplexity per condition, `intervals` with [low, high] per condition, and `tokens` scored.

    Raises:
        ConfigurationError: all windows are of one document.
    """
    found: dict[str, Any] = {}
    bounds, tokens = {}, 0
    for condition in conditions:
        sums_N, tokens_N = measure(condition)
        part = interval(sums_N, documents, counts=tokens_N, statistic=_exponential, bootstrap=bootstrap).rounded(DIGITS)
        found[condition], bounds[condition], tokens = part.value, part.bounds, int(tokens_N.sum())
    return found | {"intervals": bounds, "tokens": tokens}


def _exponential(means_RM: np.ndarray) -> np.ndarray:
    return np.exp(means_RM[:, 0])
