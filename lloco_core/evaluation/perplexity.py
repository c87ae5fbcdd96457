"""Perplexity of the same tokens under several conditions of context, each with an interval over documents.

| condition | what comes before the scored tokens |
|---|---|
| `base_none`, `base_text` | nothing, or the text itself, read by the model that the encoder came from |
| `none`, `text` | the same, read by the encoder's own model |
| `vectors_1`, `vectors_2`, `vectors_3` | the vectors of that many segments that end where the scored tokens begin |
| `wrong` | another document's vectors, as many as `vectors_3` |

A condition is measured by any function that gives summed losses; `continuation` has that of context encoders.

Shape suffixes: N windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lloco_core.evaluation.intervals import Bootstrap, Interval, Statistic, interval

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


def base_ratios(losses: Mapping[str, Losses], documents: Sequence[str], bootstrap: Bootstrap = Bootstrap()) -> dict[str, Any]:  # noqa: B008
    """What encoder training cost the language model, and what of the text's use its vectors keep.

    Args:
        losses: of the same windows under `base_none`, `base_text`, `none`, and `vectors_1`.
        documents: every window's document [N].
        bootstrap: how intervals are drawn.

    Returns:
        `damage`, perplexity without context over that of the base; `kept_gain`, what one segment's vectors take off the perplexity
        over what its text takes off that of the base; `intervals` with [low, high] of both.

    Raises:
        ConfigurationError: all windows are of one document.
    """
    ratios = (("damage", _damage), ("kept_gain", _kept_gain))
    found = {name: _ratio(losses, ("base_none", "base_text"), ratio, documents, bootstrap) for name, ratio in ratios}
    return {name: part.value for name, part in found.items()} | {"intervals": {name: part.bounds for name, part in found.items()}}


def kept_own_gain(losses: Mapping[str, Losses], documents: Sequence[str], bootstrap: Bootstrap = Bootstrap()) -> Interval:  # noqa: B008
    """What one segment's vectors take off the perplexity over what its text takes off that of the same model.

    Args:
        losses: of the same windows under `none`, `vectors_1`, and `text`.
        documents: every window's document [N].
        bootstrap: how the interval is drawn.

    Raises:
        ConfigurationError: all windows are of one document.
    """
    return _ratio(losses, ("none", "text"), _kept_gain, documents, bootstrap)


def _ratio(
    losses: Mapping[str, Losses], base: tuple[str, str], ratio: Statistic, documents: Sequence[str], bootstrap: Bootstrap
) -> Interval:
    """Of the perplexities under `none`, `vectors_1`, and the two conditions of the model that is compared with."""
    sums_NM = np.stack([losses[condition].sums_N for condition in ("none", "vectors_1", *base)], axis=1)
    return interval(sums_NM, documents, counts=losses["none"].tokens_N, statistic=ratio, bootstrap=bootstrap).rounded(DIGITS + 1)


def _damage(means_RM: np.ndarray) -> np.ndarray:
    return np.exp(means_RM[:, 0] - means_RM[:, 2])


def _kept_gain(means_RM: np.ndarray) -> np.ndarray:
    none_R, vectors_R, base_none_R, base_text_R = np.exp(means_RM).T
    return (none_R - vectors_R) / (base_none_R - base_text_R)


def _exponential(means_RM: np.ndarray) -> np.ndarray:
    return np.exp(means_RM[:, 0])
