"""The curve of a run: one JSON line per step in a file that survives kills and resumes, and its plot.

A line is plain data with `step`; the plot reads `tokens`, `curves` (losses by kind), and `validation` (a perplexity table) where they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lloco_core.errors import StorageError
from lloco_core.evaluation.perplexity import CONDITIONS

Line = dict[str, Any]


class CurveFile:
    """A file that lines are added to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, line: Line) -> None:
        """Append a line: everything about its step, as a later line of the step replaces it.

        Raises:
            StorageError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                file.write(self._separator(file) + json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error}; check its folder and free space") from error

    @staticmethod
    def _separator(file: Any) -> bytes:
        """A line break behind a line that a killed run left unfinished."""
        if not file.tell():
            return b""
        file.seek(-1, 2)
        return b"" if file.read(1) == b"\n" else b"\n"


def read(path: Path) -> list[Line]:
    """The lines by step; of a step that a resumed run repeated the newest. A line that a killed run left unfinished is passed over.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot read the curve {path}: {error}; give the file that CurveFile wrote") from error
    found: dict[int, Line] = {}
    for line in text.splitlines():
        with suppress(json.JSONDecodeError):
            made = json.loads(line)
            found[made["step"]] = made
    return [found[step] for step in sorted(found)]


def plot_curves(lines: Sequence[Line], path: Path) -> None:
    """Draw losses by kind, and below them the validation perplexities, over tokens; the format is what the file's name ends with."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    losses = _series(lines, "curves")
    validated = {name: points for name, points in _series(lines, "validation").items() if name in CONDITIONS}
    panels = [(losses, "loss, nats per token")] + ([(validated, "perplexity, held out")] if validated else [])
    with rc_context({"svg.hashsalt": "curves", "font.size": 9}):  # equal figures are equal files
        figure = Figure(figsize=(7, 3 * len(panels)), layout="constrained")
        for axes, (series, label) in zip(figure.subplots(len(panels), squeeze=False, sharex=True)[:, 0], panels, strict=True):
            for name, points in series.items():
                axes.plot(*zip(*points, strict=True), label=name, linewidth=1, marker="." if len(points) < 50 else None)
            axes.set_ylabel(label)
            if series:
                axes.legend(ncols=2)
        axes.set_xlabel("million tokens")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _series(lines: Sequence[Line], field: str) -> dict[str, list[tuple[float, float]]]:
    """Name -> points (million tokens, value) of every number in a field of the lines."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for name, value in (line.get(field) or {}).items():
            if isinstance(value, int | float):
                found.setdefault(name, []).append((line["tokens"] / 1e6, value))
    return found
