"""Planning, writing, and committing from ten thousand objects to a million, on the cores of this machine.

`make benchmark-scale` writes `benchmarks/results/scale-<cores>-cores.json`, and from the result files the tables and the plot of
docs/scale.md; `--docs` only does the last. Every measurement runs in a process of its own, whose peak memory is stated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, provenance
from benchmarks.scale_report import update_docs

RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("duckdb", "numpy", "pyarrow", "pylance")
SIZES = (10_000, 100_000, 1_000_000)
COMPACTED_ROWS, SHARD_ROWS = 50_000, 64
"""Rows per file of a store after maintenance, and as the shards of a night leave it."""
REPEATS, SHARDS = 5, 4
"""Of the throughput: half a gigabyte each time."""


def main() -> None:
    """Measure, print, and write the result file and the documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="objects, in rising order")
    parser.add_argument("--folder", help="where to write; by default the folder of temporary files")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--docs", action="store_true", help="only bring docs/scale.md up to date")
    options = parser.parse_args()
    if not options.docs:
        os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "none"}  # nothing is asked of S3
        with tempfile.TemporaryDirectory(prefix="lloco-scale-", dir=options.folder) as folder:
            result = measure(folder, options.sizes)
        path = options.results / f"scale-{result['hardware']['cores']}-cores.json"
        path.write_text(json.dumps(result, indent=2) + "\n")
        print(path)
    update_docs(RESULTS)


def measure(folder: str, sizes: tuple[int, ...]) -> dict[str, Any]:
    """All figures."""
    found = provenance("make benchmark-scale", PACKAGES)
    found["hardware"]["disk"] = _file_system(folder)
    return found | {
        "date": datetime.now(UTC).date().isoformat(),
        "load_before": round(os.getloadavg()[0], 1),
        "planning": [row for n_objects in sizes for row in _measure_planning(folder, n_objects)],
        "throughput": _measure_throughput(folder),
        "commits": [_measure_commits(folder, n, rows) for rows in (COMPACTED_ROWS, SHARD_ROWS) for n in sizes],
    }


def _measure_planning(folder: str, n_objects: int) -> Iterator[dict[str, Any]]:
    from benchmarks.planning import fill_store, plan_inventory, plan_listing, write_inventory

    listed, changed = f"{folder}/listed.parquet", f"{folder}/changed.parquet"
    new, stored = f"{folder}/new-{n_objects}", f"{folder}/stored-{n_objects}"
    _alone(write_inventory, listed, n_objects)
    _alone(write_inventory, changed, n_objects, True)
    _alone(fill_store, stored, n_objects)
    for what, plan in (
        ("first", partial(plan_inventory, new, listed)),
        ("unchanged", partial(plan_inventory, stored, listed)),
        ("changed", partial(plan_inventory, stored, changed)),
        ("encoder", partial(plan_inventory, stored, listed, "encoder-2")),
        ("listing", partial(plan_listing, f"{new}-by-listing", n_objects)),
    ):
        yield _said({"what": what} | _alone(plan))
    for path in Path(folder).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _measure_throughput(folder: str) -> dict[str, Any]:
    """By turns, the other one first in every second repeat."""
    from benchmarks.throughput import plain_lance, store_path

    rows: dict[str, list[dict[str, float]]] = {"store_path": [], "plain_lance": []}
    for repeat in range(REPEATS):
        for function in (store_path, plain_lance)[:: -1 if repeat % 2 else 1]:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                rows[function.__name__].append(_said({"what": function.__name__} | _alone(function, place, SHARDS)))
    ours, plain = (statistics.median(row["megabytes_per_second"] for row in rows[name]) for name in rows)
    return {"store_path": ours, "plain_lance": plain, "share": round(ours / plain, 3), "rows": [*rows["store_path"], *rows["plain_lance"]]}


def _measure_commits(folder: str, n_documents: int, rows_per_file: int) -> dict[str, Any]:
    from benchmarks.commits import commit_into

    with tempfile.TemporaryDirectory(dir=folder) as place:
        return _said({"rows_per_file": rows_per_file} | _alone(commit_into, f"{place}/store", n_documents, rows_per_file))


def _alone(function: Callable[..., Any], *values: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *values).result()


def _said(row: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(row), flush=True)
    return row


def _file_system(folder: str) -> str:
    """Kind of the file system of a folder."""
    import psutil

    parts = [part for part in psutil.disk_partitions(all=True) if Path(folder).resolve().is_relative_to(part.mountpoint)]
    return f"local disk ({max(parts, key=lambda part: len(part.mountpoint)).fstype})"


if __name__ == "__main__":
    main()
