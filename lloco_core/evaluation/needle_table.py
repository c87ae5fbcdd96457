"""Needles found, on average, by depth, and by length, each with an interval over haystacks; and their heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lloco_core.errors import DatasetError
from lloco_core.evaluation.answers import needle_found
from lloco_core.evaluation.intervals import Bootstrap, Interval, interval
from lloco_core.evaluation.needle import NeedleCase

DIGITS = 4


def needle_table(cases: Sequence[NeedleCase], answers: Mapping[str, str], bootstrap: Bootstrap = Bootstrap()) -> dict[str, Any]:  # noqa: B008
    """Shares of needles that stand in the answers (by case id), as result files hold them.

    Returns:
        `mean`, `by_depth`, `by_length` (keys as text), `intervals` with the same keys and [low, high], `cases`, and `haystacks`.

    Raises:
        DatasetError: a case has no answer.
        ConfigurationError: all cases are of one haystack.
    """
    found_N = found_needles(cases, answers)
    whole = _interval(cases, found_N, bootstrap)
    by_depth = {f"{depth:g}": _where(cases, found_N, "depth", depth, bootstrap) for depth in sorted({case.depth for case in cases})}
    by_length = {str(length): _where(cases, found_N, "length", length, bootstrap) for length in sorted({case.length for case in cases})}
    return {
        "mean": whole.value,
        "by_depth": {depth: part.value for depth, part in by_depth.items()},
        "by_length": {length: part.value for length, part in by_length.items()},
        "intervals": {
            "mean": whole.bounds,
            "by_depth": {depth: part.bounds for depth, part in by_depth.items()},
            "by_length": {length: part.bounds for length, part in by_length.items()},
        },
        "cases": len(cases),
        "haystacks": len({case.document_id for case in cases}),
    }


def found_needles(cases: Sequence[NeedleCase], answers: Mapping[str, str]) -> np.ndarray:
    """1 or 0 per case [N].

    Raises:
        DatasetError: no cases, or a case has no answer.
    """
    missing = [case.case_id for case in cases if case.case_id not in answers]
    if missing or not cases:
        raise DatasetError(f"{len(missing)} of {len(cases)} needle cases have no answer ({', '.join(missing[:1])}); answer all, if with ''")
    return np.array([float(needle_found(answers[case.case_id], case.answer)) for case in cases])


def plot_needles(cases: Sequence[NeedleCase], answers: Mapping[str, str], path: Path, title: str) -> None:
    """Write the heat map, length by depth, in the format that the file's name ends with.

    Raises:
        DatasetError: a case has no answer.
    """
    found_N = found_needles(cases, answers)
    lengths, depths = sorted({case.length for case in cases}), sorted({case.depth for case in cases})
    totals_DL, counts_DL = np.zeros((len(depths), len(lengths))), np.zeros((len(depths), len(lengths)))
    for case, found in zip(cases, found_N, strict=True):
        at = depths.index(case.depth), lengths.index(case.length)
        totals_DL[at] += found
        counts_DL[at] += 1
    with np.errstate(invalid="ignore"):
        _draw(100 * totals_DL / counts_DL, lengths, depths, path, title)


def _where(cases: Sequence[NeedleCase], found_N: np.ndarray, field: str, value: float, bootstrap: Bootstrap) -> Interval:
    chosen = [order for order, case in enumerate(cases) if getattr(case, field) == value]
    return _interval([cases[order] for order in chosen], found_N[chosen], bootstrap)


def _interval(cases: Sequence[NeedleCase], found_N: np.ndarray, bootstrap: Bootstrap) -> Interval:
    return interval(found_N, [case.document_id for case in cases], bootstrap=bootstrap).rounded(DIGITS)


def _draw(percent_DL: np.ndarray, lengths: Sequence[int], depths: Sequence[float], path: Path, title: str) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "needle", "font.size": 9}):  # equal figures are equal files
        figure = Figure(figsize=(1.5 + 0.55 * len(lengths), 1.2 + 0.3 * len(depths)), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(percent_DL, vmin=0, vmax=100, cmap="RdYlGn", aspect="auto")
        axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths], rotation=45)
        axes.set_yticks(range(len(depths)), [f"{100 * depth:.0f} %" for depth in depths])
        axes.set(xlabel="tokens", ylabel="depth", title=title)
        for (row, column), percent in np.ndenumerate(percent_DL):
            axes.text(column, row, f"{percent:.0f}" if np.isfinite(percent) else "", ha="center", va="center", fontsize=7)
        figure.colorbar(image, ax=axes, label="needles found, %")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
