"""Run the default night of `make run` in a fresh folder and write what it took and what it printed.

`make benchmark-night` writes `benchmarks/results/night-<cores>-cores.json` and `.txt`, and puts both into README.md between its markers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import ROOT, between, provenance

PACKAGES = ("torch", "transformers", "peft", "deepspeed", "ray", "prefect", "pylance", "lancedb")
START, END = "<!-- night:start -->", "<!-- night:end -->"
OUTPUT_START, OUTPUT_END = "<!-- output:start -->", "<!-- output:end -->"


def main() -> None:
    """Measure, write the result files, and update the README; `--readme` only does the last."""
    if sys.argv[1:] != ["--readme"]:
        result, printed = measure()
        path = ROOT / "benchmarks" / "results" / f"night-{result['hardware']['cores']}-cores.json"
        path.write_text(json.dumps(result, indent=2) + "\n")
        path.with_suffix(".txt").write_text(printed)
    update_readme()


def measure() -> tuple[dict, str]:
    """Run one night and the same night again; returns the figures and what the first one printed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        environment = os.environ | {"PREFECT_HOME": f"{folder}/prefect", "PYTHONPATH": str(ROOT), "COLUMNS": "110"}
        python = [sys.executable, "-m"]
        options = ["--config", "examples/laptop.yaml", "--corpus.uri", ".lloco/corpus", "--store.uri", ".lloco/store"]
        subprocess.run([*python, "lloco_core.corpus.demo", ".lloco/corpus"], cwd=folder, env=environment, check=True)
        nights, printed = [], []
        for _ in range(2):
            done = subprocess.run(
                [*python, "flows.nightly", *options], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
            )
            nights.append(_newest_summary(Path(folder) / ".lloco" / "store"))
            printed.append(done.stdout.replace(folder, "/home/you/lloco-pipeline"))
    result = {
        **provenance("make benchmark-night", PACKAGES),
        "first_night": _figures(nights[0]),
        "same_night_again": _figures(nights[1]),
    }
    return result, "\n".join(line.rstrip() for line in printed[0].strip().splitlines()) + "\n"


def _newest_summary(store: Path) -> dict:
    return json.loads(max((store / "_runs").glob("*/summary.json"), key=lambda path: path.parent.name).read_text())


def _figures(summary: dict) -> dict:
    return {
        "documents": summary["n_documents"],
        "tokens": summary["n_tokens"],
        "vectors": summary["n_vectors"],
        "groups": len(summary["groups"]),
        "adapters_trained": sum(outcome["verdict"] == "registered" for outcome in summary["adapters"]),
        "seconds": summary["seconds"],
        "seconds_total": round(sum(summary["seconds"].values()), 1),
        "encoder_tokens_per_second": summary["facts"]["encoder rate"],
    }


def table(result: dict) -> str:
    """The README's table of a result file."""
    first, again = result["first_night"], result["same_night_again"]
    stages = sorted(set(first["seconds"]) | set(again["seconds"]), key=list(first["seconds"]).index)
    hardware = result["hardware"]
    lines = [
        f"{hardware['cores']} cores ({hardware['cpu']}), {hardware['memory_gb']} GB, no GPU; seconds of the flow's stages, from "
        f"`benchmarks/results/night-{hardware['cores']}-cores.json`:",
        "",
        "| | first night | the same night again |",
        "|---|---:|---:|",
        *(
            f"| {name} | {first[key]:,} | {again[key]:,} |"
            for name, key in (
                ("documents encoded", "documents"),
                ("tokens encoded", "tokens"),
                ("summary vectors", "vectors"),
                ("adapters trained", "adapters_trained"),
            )
        ),
        *(f"| {stage}, s | {first['seconds'].get(stage, 0):.1f} | {again['seconds'].get(stage, 0):.1f} |" for stage in stages),
        f"| all stages, s | {first['seconds_total']:.1f} | {again['seconds_total']:.1f} |",
    ]
    return "\n".join(lines)


def update_readme() -> None:
    """Put the newest table and output between the markers."""
    path = ROOT / "README.md"
    text = between(path.read_text(), START, END, readme_block())
    path.write_text(between(text, OUTPUT_START, OUTPUT_END, output_block()))


def output_block() -> str:
    """What a night printed, from the first result file."""
    path = min((ROOT / "benchmarks" / "results").glob("night-*-cores.txt"))
    return f"```text\n{path.read_text().rstrip()}\n```"


def readme_block() -> str:
    """The tables of all result files of this benchmark."""
    files = sorted((ROOT / "benchmarks" / "results").glob("night-*-cores.json"))
    return "\n\n".join(table(json.loads(path.read_text())) for path in files)


if __name__ == "__main__":
    main()
