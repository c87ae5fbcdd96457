"""Result files of `encode.py`: written after every row, merged by row, rendered for the README and the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.machine import between
from benchmarks.workloads import BESIDE_SHORT, tokens_of

RESULTS = Path(__file__).resolve().parent / "results"
START, END = "<!-- encode:start -->", "<!-- encode:end -->"
ENGINE_NAMES = {
    "original": "original: one document, all vectors encoded again",
    "stock": "stock: batches of 8, `DynamicCache`",
    "ours": "ours",
    "ours-fp8": "ours, fp8",
}
Result = dict[str, Any]


def merge(old: Result, new: Result) -> Result:
    """The newer file with the rows of the older one that it does not measure again; every row keeps the shares of its own run."""
    rows = {_row_key(row): row for row in [*old.get("rows", []), *new["rows"]]}
    pairs = {_pair_key(pair): pair for pair in [*old.get("agreement", []), *new.get("agreement", [])]}
    reading = {(row["engine"], row["dtype"]): row for row in [*old.get("reading", []), *new.get("reading", [])]}
    return new | {
        "rows": sorted(rows.values(), key=_row_order),
        "agreement": list(pairs.values()),
        "reading": list(reading.values()),
        "ceiling_sustained_tflops": new.get("ceiling_sustained_tflops") or old.get("ceiling_sustained_tflops"),
        "commands": list(dict.fromkeys([*_commands(old), *_commands(new)])),
    }


def _commands(result: Result) -> list[str]:
    return result.get("commands") or ([result["command"]] if "command" in result else [])


def rate(row: Result, result: Result) -> None:
    """Shares of a row, by the ceilings of the run that measured it: cards of one name differ by some percent."""
    row["ceiling_tflops"] = result["ceiling_tflops"]
    if sustained := result.get("ceiling_sustained_tflops"):
        row["share_of_sustained_ceiling"] = row["useful_tflops"] / sustained / row["devices"]
    row["share_of_ceiling"] = row["useful_tflops"] / row["ceiling_tflops"] / row["devices"]


def _row_key(row: Result) -> tuple:
    return row["engine"], row["documents"], row["dtype"], row["devices"]


def _pair_key(pair: Result) -> tuple:
    return pair["engine"], pair["against"], pair["dtype"]


def _row_order(row: Result) -> tuple:
    return row["dtype"], row["devices"], list(ENGINE_NAMES).index(row["engine"]), documents_order(row["documents"])


def documents_order(name: str) -> tuple[int, str]:
    """Rows of equal documents by length, then the others."""
    return (1 << 40, name) if name in ("mix", BESIDE_SHORT) else (tokens_of(name), "")


def result_path(folder: Path, result: Result) -> Path:
    """`encode-<card>-<shape>.json`."""
    return folder / f"encode-{result['card']}-{result['shape']}.json"


def save(folder: Path, result: Result, merged_with: Result | None = None) -> Path:
    """Write a result file as a whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = result_path(folder, result)
    unfinished = path.with_suffix(".partial")
    unfinished.write_text(json.dumps(merge(merged_with or {}, result), indent=2) + "\n")
    unfinished.replace(path)
    return path


def load(path: Path) -> Result:
    """A result file, or an empty one."""
    return json.loads(path.read_text()) if path.is_file() else {}


def merge_files(paths: list[Path], folder: Path) -> list[Path]:
    """Merge result files of several runs into those of a folder, in the given order."""
    written = []
    for path in paths:
        result = load(path)
        written.append(save(folder, result, load(result_path(folder, result))))
    return written


def text_table(result: Result) -> str:
    """The rows for a terminal."""
    lines = ["engine     documents      n devices  seconds  tokens/s  share  peak GB  busy"]
    for row in result["rows"]:
        peak, busy = row["peak_memory_gb"], row.get("busy_share")
        lines.append(
            f"{row['engine']:<10} {row['documents']:<11} {row['n_documents']:>4} {row['devices']:>7} {row['seconds']:>8.1f} "
            f"{row['tokens_per_s']:>9,.0f} {row['share_of_ceiling']:>6.1%} {'' if peak is None else format(peak, '.1f'):>8} "
            f"{'' if busy is None else format(busy, '.0%'):>5}"
        )
    for pair in result.get("agreement", []):
        lines.append(
            f"{pair['engine']} against {pair['against']}: cosine {pair['cosine_mean']:.6f} mean {pair['cosine_min']:.6f} least, "
            f"relative error {pair['relative_error']:.2e}, {pair['vectors']} vectors"
        )
    fp8 = result.get("ceiling_fp8_tflops")
    lines.append(
        f"{result['hardware']['name']} {result['shape']} {result['dtype']}: ceiling {result['ceiling_tflops']:.4g} TFLOP/s "
        f"(before {result['ceiling_before']:.4g}, after {result['ceiling_after'] or 0:.4g}, "
        f"sustained {result.get('ceiling_sustained_tflops') or 0:.4g}{f', fp8 {fp8:.4g}' if fp8 else ''})"
    )
    lines += [f"FAILED {error}" for error in result.get("errors", [])]
    return "\n".join(lines)


def readme_block(folder: Path = RESULTS) -> str:
    """The tables of all result files."""
    return "\n\n".join(readme_table(json.loads(path.read_text()), path.name) for path in sorted(folder.glob("encode-*.json")))


def readme_table(result: Result, file_name: str) -> str:
    """The README's table of a result file."""
    rows = [row for row in result["rows"] if row["dtype"] == result["dtype"]]
    alone = [row for row in rows if row["devices"] == 1]
    names = sorted({row["documents"] for row in alone}, key=documents_order)
    engines = [name for name in ENGINE_NAMES if any(row["engine"] == name for row in alone)]
    cells = {(row["engine"], row["documents"]): _cell(row) for row in alone}
    lines = [
        f"`{result['shape']}` on {result['hardware']['name']} in {result['dtype']}; tokens/s and share of the matrix ceiling "
        f"of the same run, {_ceilings(rows)} TFLOP/s, from `benchmarks/results/{file_name}`:",
        "",
        f"| tokens per document | {' | '.join(names)} |",
        f"|---|{'---:|' * len(names)}",
        *(f"| {ENGINE_NAMES[engine]} | {' | '.join(cells.get((engine, name), '') for name in names)} |" for engine in engines),
    ]
    notes = [*_sustained_notes(alone), *_subset_notes(alone), *_memory_notes(alone), *_devices_notes(rows)]
    lines += ["", *notes] if notes else []
    return "\n".join([*lines, *_agreement_lines(result), *_reading_lines(result)])


def _cell(row: Result) -> str:
    return f"{row['tokens_per_s']:,.0f} ({row['share_of_ceiling']:.0%})"


def _ceilings(rows: list[Result]) -> str:
    """The ceiling, or the lowest and the highest where runs on several cards are in one file."""
    return " to ".join(dict.fromkeys(f"{pick(row['ceiling_tflops'] for row in rows):.3g}" for pick in (min, max)))


def _sustained_notes(rows: list[Result]) -> list[str]:
    shares = [row["share_of_sustained_ceiling"] for row in rows if row["engine"] == "ours" and "share_of_sustained_ceiling" in row]
    if len(shares) < 2:
        return []
    return [f"- ours: {min(shares):.0%} to {max(shares):.0%} of what the same run sustained over seconds.".replace("%", " %")]


def _subset_notes(rows: list[Result]) -> list[str]:
    return [
        f"- {row['engine']}: {row['n_documents']} of the {row['subset_of']} documents of `{row['documents']}`."
        for row in rows
        if row.get("subset_of")
    ]


def _memory_notes(rows: list[Result]) -> list[str]:
    return [
        f"- {row['engine']}: {row['n_documents']} documents of `{row['documents']}` take {row['peak_memory_gb']:.0f} GB at most."
        for row in rows
        if row["documents"] == BESIDE_SHORT and row["peak_memory_gb"] is not None
    ]


def _devices_notes(rows: list[Result]) -> list[str]:
    return [
        f"- {row['engine']}, {row['n_documents']} documents of `{row['documents']}` on {row['devices']} devices: "
        f"{row['documents_per_s']:.2f} documents/s, {row['speedup']:.2f} times one device (engine processes without Ray)."
        for row in rows
        if row["devices"] > 1
    ]


def _agreement_lines(result: Result) -> list[str]:
    pairs = [pair for pair in result.get("agreement", []) if pair["dtype"] == result["dtype"]]
    if not pairs:
        return []
    return [
        "",
        "| vectors of | against | cosine, mean | cosine, least | relative error |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {pair['engine']} | {pair['against']} | {pair['cosine_mean']:.5f} | {pair['cosine_min']:.5f} "
            f"| {pair['relative_error']:.1e} |"
            for pair in pairs
        ),
    ]


def _reading_lines(result: Result) -> list[str]:
    rows = [row for row in result.get("reading", []) if row["dtype"] == result["dtype"]]
    if not rows:
        return []
    return [
        "",
        "| vectors of | inserted facts read from them | perplexity of the text that follows |",
        "|---|---:|---:|",
        *(f"| {row['engine']} | {row['needles_found']} of {row['needles']} | {row['perplexity']:.2f} |" for row in rows),
        "",
        f"That text has a perplexity of {rows[0]['perplexity_without_vectors']:.2f} without vectors.",
    ]


def update_readme() -> None:
    """Put the tables between the markers of the README."""
    path = RESULTS.parent.parent / "README.md"
    path.write_text(between(path.read_text(), START, END, readme_block()))
