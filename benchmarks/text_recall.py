"""How much of known text this package and two public readers find in self-made files of every format.

`make benchmark-parsing` writes `benchmarks/results/text-recall.json` and puts the table into docs/formats.md between the markers;
`--docs` only does the last, `--files FOLDER` also keeps the files there, `--misses` prints the words that ours lost or added.
Recall is the share of the known words that a reader gives (a word as often as it stands there), precision the share of its
words that are known; both are means over the files of a format.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import floor
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.machine import ROOT, between, provenance
from benchmarks.recall.cases import Case, words
from benchmarks.recall.letter_files import letter_files
from benchmarks.recall.office_files import office_files
from benchmarks.recall.page_files import page_files
from benchmarks.recall.readers import readers
from benchmarks.recall.text_files import text_files

RESULT, DOCS = ROOT / "benchmarks" / "results" / "text-recall.json", ROOT / "docs" / "formats.md"
START, END = "<!-- recall:start -->", "<!-- recall:end -->"
_ROUNDING = 1e-9
PACKAGES = ("markitdown", "kreuzberg", "pypdf", "trafilatura", "openpyxl", "python-calamine", "lxml")


def main() -> None:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", action="store_true", help="only bring docs/formats.md up to date")
    parser.add_argument("--files", type=Path, help="folder to keep the files in")
    parser.add_argument("--misses", action="store_true", help="print what ours lost and added, file by file")
    options = parser.parse_args()
    if not options.docs:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(options.files or Path(folder), options.misses)
        RESULT.write_text(json.dumps(provenance("make benchmark-parsing", PACKAGES) | {"files": rows}, indent=1) + "\n")
        print(RESULT)
    DOCS.write_text(between(DOCS.read_text(), START, END, docs_block(json.loads(RESULT.read_text()))))


def cases() -> Iterator[Case]:
    """All files, equal in every run but for times and keys that libraries write."""
    for make in (text_files, page_files, office_files, letter_files):
        yield from make()


def measure(folder: Path, shows_misses: bool = False) -> list[dict[str, Any]]:
    """One row per file: known words, and per reader those found and those added."""
    rows, compared = [], readers()
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases():
        path = folder / case.name
        path.write_bytes(case.data)
        known, more = words(case.text), words(case.may_add)
        row: dict[str, Any] = {"file": case.name, "format": case.format, "words": known.total(), "found": {}, "added": {}}
        for name, read in compared.items():
            given = words(read(path))
            row["found"][name] = (known & given).total()
            added = {word: count for word, count in (given - known).items() if word not in more}
            row["added"][name] = sum(added.values())
            if shows_misses and name == "ours" and (known - given or added):
                print(case.name, "lost", dict(known - given), "added", added)
        rows.append(row)
    return rows


def by_format(rows: list[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Recall and precision of every reader by format, means over its files."""
    files: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        files[row["format"]].append(row)
    return {kind: {name: (_recall(held, name), _precision(held, name)) for name in rows[0]["found"]} for kind, held in files.items()}


def _recall(rows: list[dict[str, Any]], name: str) -> float:
    return fmean(row["found"][name] / row["words"] for row in rows)


def _precision(rows: list[dict[str, Any]], name: str) -> float:
    """Over the files of which the reader gives anything; 0 where there is none."""
    given = [(row["found"][name], row["found"][name] + row["added"][name]) for row in rows]
    return fmean([found / total for found, total in given if total] or [0.0])


def docs_block(result: dict[str, Any]) -> str:
    """The table by format; shares are rounded down, so that 100 means all."""
    rows = result["files"]
    names, measured = list(rows[0]["found"]), by_format(rows)
    files = Counter(row["format"] for row in rows)
    versions = ", ".join(f"{name} {result['versions'][name]}" for name in names if name in result["versions"])
    head = "| format | files | " + " | ".join(names) + " |"
    lines = [f"{len(rows)} files, against {versions}; recall / precision in %, from `benchmarks/results/{RESULT.name}`:", "", head]
    lines.append("|---|---:|" + "---:|" * len(names))
    for kind, values in measured.items():
        cells = (f"{floor(100 * recall + _ROUNDING)} / {floor(100 * precision + _ROUNDING)}" for recall, precision in values.values())
        lines.append(f"| .{kind} | {files[kind]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
