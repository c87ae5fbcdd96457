"""How much of known text this package and two public readers find in self-made files of every format.

`make benchmark-parsing` writes `benchmarks/results/text-recall.json` and puts the table into docs/formats.md between the markers;
`--docs` only does the last, `--files FOLDER` also keeps the files there, `--misses` prints the words that ours lost or added.
Recall is the share of the known words that a reader gives (a word as often as it stands there), precision the share of its
words that are known.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
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
PACKAGES = ("markitdown", "kreuzberg", "pypdf", "python-docx", "trafilatura", "openpyxl", "python-calamine", "lxml")


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
            row["added"][name] = (given - known - more).total()
            if shows_misses and name == "ours" and (known - given or given - known - more):
                print(case.name, "lost", dict(known - given), "added", dict(given - known - more))
        rows.append(row)
    return rows


def by_format(rows: list[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Recall and precision of every reader by format."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        total = totals[row["format"]]
        total["words"] += row["words"]
        for name, found in row["found"].items():
            total[f"found {name}"] += found
            total[f"given {name}"] += found + row["added"][name]
    names = rows[0]["found"]
    return {
        kind: {name: (total[f"found {name}"] / total["words"], total[f"found {name}"] / max(total[f"given {name}"], 1)) for name in names}
        for kind, total in totals.items()
    }


def docs_block(result: dict[str, Any]) -> str:
    """The table by format."""
    rows = result["files"]
    names, measured = list(rows[0]["found"]), by_format(rows)
    files = Counter(row["format"] for row in rows)
    versions = ", ".join(f"{name} {result['versions'][name]}" for name in names if name in result["versions"])
    head = "| format | files | " + " | ".join(names) + " |"
    lines = [f"{len(rows)} files, against {versions}; recall / precision in %, from `benchmarks/results/{RESULT.name}`:", "", head]
    lines.append("|---|---:|" + "---:|" * len(names))
    for kind, values in measured.items():
        cells = (f"{100 * recall:.0f} / {100 * precision:.0f}" for recall, precision in values.values())
        lines.append(f"| .{kind} | {files[kind]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
