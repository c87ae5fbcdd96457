"""The tables of docs/scale.md and its plot, from the result files of `scale.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, between

DOCS, PLOT = ROOT / "docs" / "scale.md", ROOT / "docs" / "img" / "scale.svg"
START, END = "<!-- scale:start -->", "<!-- scale:end -->"
PLANS = {
    "first": "first night, from an inventory",
    "listing": "first night, listed",
    "unchanged": "nothing changed",
    "changed": "1 % changed",
    "encoder": "new encoder",
}
Result = dict[str, Any]


def update_docs(results: Path) -> None:
    """Bring docs/scale.md and the plot up to date; the plot shows the first result file."""
    DOCS.write_text(between(DOCS.read_text(), START, END, docs_block(results)))
    draw(next(iter(_results(results).values())))


def docs_block(results: Path) -> str:
    """The tables of all result files of a folder."""
    return "\n\n".join(_tables(result, name) for name, result in _results(results).items())


def _results(folder: Path) -> dict[str, Result]:
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("scale-*-cores.json"))}


def _tables(result: Result, name: str) -> str:
    hardware = result["hardware"]
    return "\n\n".join(
        [
            f"{hardware['cores']} cores ({hardware['cpu']}), {hardware['memory_gb']} GB, {hardware['disk']}, {result['date']}, load "
            f"{result['load_before']} before the start; from `benchmarks/results/{name}`:",
            _planning_table(result["planning"]),
            _throughput_table(result["throughput"]),
            _commits_table(result["commits"]),
        ]
    )


def _planning_table(rows: list[Result]) -> str:
    sizes = sorted({row["objects"] for row in rows})
    lines = [f"| planning | {' | '.join(f'{size:,} objects' for size in sizes)} |", "|---|" + "---:|" * len(sizes)]
    for what, label in PLANS.items():
        found = {row["objects"]: row for row in rows if row["what"] == what}
        cells = [f"{found[size]['seconds']:.1f} s, {found[size]['peak_mb']:,} MB" for size in sizes]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    read = {row["objects"]: row["shard_read_seconds"] for row in rows if row["what"] == "first"}
    lines.append(f"| a worker reads a shard of the first | {' | '.join(f'{1000 * read[size]:.1f} ms' for size in sizes)} |")
    return "\n".join(lines)


def _throughput_table(found: Result) -> str:
    return "\n".join(
        [
            "| writing vectors, 4096 x 50 as float16 | MB/s | of plain Lance |",
            "|---|---:|---:|",
            f"| `lance.write_dataset`, appending ready segment rows | {found['plain_lance']:,.0f} | |",
            f"| `write_shard` and `Committer.commit`, with passages and documents | {found['store_path']:,.0f} | {found['share']:.0%} |",
        ]
    )


def _commits_table(rows: list[Result]) -> str:
    lines = [
        "| a commit of 4 shards, 256 documents, into | files per table | all new | all changed |",
        "|---|---:|---:|---:|",
    ]
    for row in rows:
        times = " | ".join(f"{1000 * row[f'{kind}_seconds']:,.0f} ms" for kind in ("new", "changed"))
        lines.append(f"| {row['documents']:,} documents | {row['files']:,} | {times} |")
    return "\n".join(lines)


def draw(result: Result) -> None:
    """Microseconds per object and peak memory over the number of objects."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "scale", "font.size": 9}
    import matplotlib.pyplot as plt

    figure, (per_object, memory) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for what, label in PLANS.items():
        rows = sorted((row for row in result["planning"] if row["what"] == what), key=lambda row: row["objects"])
        objects = [row["objects"] for row in rows]
        per_object.loglog(objects, [1e6 * row["seconds"] / row["objects"] for row in rows], marker="o", label=label)
        memory.semilogx(objects, [row["peak_mb"] for row in rows], marker="o")
    per_object.set(xlabel="objects", ylabel="planning, µs per object", title="level: linear; falling: better")
    memory.set(xlabel="objects", ylabel="peak memory of the process, MB", ylim=(0, 2100), title="bound: 2,000 MB")
    memory.axhline(2000, color="grey", linestyle=":")
    per_object.legend(fontsize=7)
    for axes in (per_object, memory):
        axes.grid(visible=True, alpha=0.3)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)
