"""Memory and cost of compacting wide rows: `segments` of a 7B model, 50 vectors of 4096 float16 numbers a row (400 KB).

Writes small fragments of random vectors, then compacts the table in a process of its own, three times: all fragments, nothing, and
what a small append added. Prints the peak memory of that process and what every pass rewrote.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from typing import Any

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
    """Print a line per pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fragments", type=int, default=96, help="of 100 rows, 41 MB each")
    fragments = parser.parse_args().fragments
    from lloco_core.store.tables import Store

    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        Store(folder).create_tables(SUMMARY, HIDDEN, 4)
        for _ in range(fragments):
            append_rows(folder, FRAGMENT_ROWS)
        for what, n_appended in ((f"{fragments} fragments of {FRAGMENT_ROWS} rows", 0), ("the same again", 0), ("2 more fragments", 2)):
            for _ in range(n_appended):
                append_rows(folder, FRAGMENT_ROWS)
            with processes.Pool(1) as pool:
                done = pool.apply(compact, (folder,))
            print(
                f"{what}: {done['removed']} fragments became {done['added']} in {done['seconds']:.1f} s, "
                f"peak memory {done['peak']:.0f} MB, of it {done['before']:.0f} MB before it began"
            )


if __name__ == "__main__":
    main()
