"""What runs beside the ingests of the maintenance drill: a maintenance that never rests, and a reader that checks every night."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from lloco_core.config import MaintenanceConfig, StoreConfig
from lloco_core.store.index import build_indices
from lloco_core.store.maintenance.compact import compact_table
from lloco_core.store.maintenance.leftovers import sweep_leftovers
from lloco_core.store.maintenance.orphans import sweep_orphans
from lloco_core.store.maintenance.retention import retire_nights
from lloco_core.store.maintenance.session import Maintenance, open_maintenance
from lloco_core.store.maintenance.versions import clean_versions
from lloco_core.store.read import Night, open_night
from lloco_core.store.tables import TABLES

GRACE_SECONDS = 4.0
ORPHAN_SECONDS = 5.0
"""A drill's days and weeks."""


@contextmanager
def repeating(step: Callable[[], Any]) -> Iterator[list[Any]]:
    """Run a step in a thread, over and over, until the block ends; what it returned is collected, what it raised is raised."""
    stop, results, errors = threading.Event(), [], []

    def run() -> None:
        while not stop.is_set():
            try:
                results.append(step())
            except BaseException as error:  # noqa: BLE001 a thread's errors would be lost
                errors.append(error)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield results
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def maintain(store_uri: str) -> dict[str, int]:
    """One whole maintenance, in the order of the flow; returns counts of what it did."""
    config = MaintenanceConfig(keep_nights=1, keep_monthly=0, grace_hours=GRACE_SECONDS / 3600)
    with open_maintenance(StoreConfig(uri=store_uri), config, "maintenance") as maintenance:
        return _steps(maintenance)


def _steps(maintenance: Maintenance) -> dict[str, int]:
    build_indices(maintenance.store)
    compacted = [compact_table(maintenance, table) for table in TABLES]
    before = datetime.now(UTC) - timedelta(seconds=ORPHAN_SECONDS)
    swept = [*(sweep_orphans(maintenance, table, before) for table in TABLES), *sweep_leftovers(maintenance, before)]
    retired = retire_nights(maintenance, datetime.now(UTC))
    cleaned = [clean_versions(maintenance, table, datetime.now(UTC)) for table in TABLES]
    return {
        "compacted": sum(item.n_removed for item in compacted),
        "conflicts": sum(item.n_conflicts for item in compacted),
        "swept": sum(item.n_objects for item in swept),
        "retired": len(retired),
        "versions": sum(item.n_versions for item in cleaned),
    }


def read(store_uri: str) -> str:
    """Open the newest night and check that it is whole; returns its name."""
    night = open_night(store_uri)
    for document in night.documents():
        check_document(night, document)
    return night.name


def check_document(night: Night, document: Any) -> None:
    """A document has all its segments, and its passages are its text."""
    versions = {row["version_id"] for row in _rows(night, "segments", document.doc_id)}
    assert versions == {document.version_id}, (night.name, document.title, versions)
    assert len(_rows(night, "segments", document.doc_id)) == document.n_segments, (night.name, document.title)
    assert len(night.text(document.doc_id)) == document.n_chars, (night.name, document.title)


def _rows(night: Night, table: str, doc_id: str) -> list[dict[str, Any]]:
    return night.table(table).to_table(columns=["version_id", "segment_index"], filter=f"doc_id = '{doc_id}'").to_pylist()
