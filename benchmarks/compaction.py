"""Memory and cost of compacting wide rows: `segments` of a 7B model, 50 vectors of 4096 float16 numbers a row (400 KB).

Writes small fragments of random vectors, then compacts the table in a process of its own, three times: all fragments, nothing, and
what a small append added, for a table and one four times as large. `make benchmark-compaction` writes
`benchmarks/results/compaction-<cores>-cores.json` with the peak memory of that process and what every pass rewrote, and puts
the figures into docs/operations.md between the markers; `--docs` only does the last.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, between, provenance

RESULTS, DOCS = ROOT / "benchmarks" / "results", ROOT / "docs" / "operations.md"
START, END = "<!-- compaction:start -->", "<!-- compaction:end -->"
SUMMARY, HIDDEN = 50, 4096
FRAGMENT_ROWS = 100


def append_rows(store_uri: str, n_rows: int) -> None:
    """One fragment of random vectors."""
    import lance
    import numpy as np
    import pyarrow as pa

    from lloco_core.store.schema import segments_schema
    from lloco_core.store.tables import Store

    store, table_schema = Store(store_uri), segments_schema(SUMMARY, HIDDEN)
    numbers = np.random.default_rng().standard_normal((n_rows, SUMMARY * HIDDEN), dtype=np.float32).astype(np.float16)
    columns: dict[str, Any] = {field.name: pa.nulls(n_rows, field.type) for field in table_schema}
    columns |= {name: [f"{time.time_ns()}-{row}" for row in range(n_rows)] for name in ("doc_id", "version_id", "prefix_hash")}
    columns |= {"segment_index": list(range(n_rows))}
    columns |= {"summary": pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), SUMMARY * HIDDEN)}
    lance.write_dataset(pa.table(columns, schema=table_schema), store.table_uri("segments"), mode="append")


def compact(store_uri: str) -> dict[str, Any]:
    """One pass, with the peak memory of this process before and after it."""
    from lloco_core.config import MaintenanceConfig, StoreConfig
    from lloco_core.store.maintenance.compact import compact_table
    from lloco_core.store.maintenance.session import open_maintenance

    before, started = _peak_megabytes(), time.monotonic()
    with open_maintenance(StoreConfig(uri=store_uri), MaintenanceConfig(), "benchmark") as maintenance:
        done = compact_table(maintenance, "segments")
    seconds = time.monotonic() - started
    return {"removed": done.n_removed, "added": done.n_added, "seconds": seconds, "before": before, "peak": _peak_megabytes()}


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fragments", type=int, nargs="+", default=[24, 96], help="of 100 rows, 41 MB each; one table per number")
    parser.add_argument("--docs", action="store_true", help="only bring docs/operations.md up to date")
    options = parser.parse_args()
    if not options.docs:
        rows = [row for fragments in options.fragments for row in measure(fragments)]
        result = provenance("make benchmark-compaction", ("pylance", "pyarrow")) | {"rows": rows}
        path = RESULTS / f"compaction-{result['hardware']['cores']}-cores.json"
        path.write_text(json.dumps(result, indent=2) + "\n")
        print(path)
    update_docs()


def measure(fragments: int) -> Iterator[dict[str, Any]]:
    """Three passes over one table: all fragments, nothing new, two fragments more."""
    from lloco_core.store.tables import Store

    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        Store(folder).create_tables(SUMMARY, HIDDEN, 4)
        for what, n_appended in (("new table", fragments), ("the same again", 0), ("2 fragments more", 2)):
            for _ in range(n_appended):
                append_rows(folder, FRAGMENT_ROWS)
            with processes.Pool(1) as pool:
                done = pool.apply(compact, (folder,))
            gigabytes = sum(file.stat().st_size for file in Path(folder, "segments.lance", "data").iterdir()) / 1e9
            row = {"what": what, "appended": n_appended, "table_files_gb": gigabytes, **done}
            print(json.dumps(row), flush=True)
            yield row


def update_docs() -> None:
    """Bring docs/operations.md up to date."""
    DOCS.write_text(between(DOCS.read_text(), START, END, docs_block()))


def docs_block() -> str:
    """The table of all result files."""
    return "\n\n".join(_docs_table(json.loads(path.read_text()), path.name) for path in sorted(RESULTS.glob("compaction-*.json")))


def _docs_table(result: dict[str, Any], name: str) -> str:
    hardware = result["hardware"]
    lines = [
        f"Rows of 400 KB, fragments of 41 MB, {hardware['cores']} cores ({hardware['cpu']}), from `benchmarks/results/{name}`:",
        "",
        "| segments table | fragments | peak memory | of it before the compaction |",
        "|---|---|---:|---:|",
    ]
    for row in result["rows"]:
        what = f"{row['appended']} fragments" if row["what"] == "new table" else row["what"]
        changed = f"{row['removed']} became {row['added']}" if row["removed"] else "none"
        lines.append(f"| {what} | {changed} | {row['peak']:.0f} MB | {row['before']:.0f} MB |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
