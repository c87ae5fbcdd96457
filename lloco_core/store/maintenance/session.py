"""One maintenance of a store: it is alone, but beside ingests and readers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lloco_core.errors import StorageError
from lloco_core.store.lease import CommitLease
from lloco_core.store.tables import Store

if TYPE_CHECKING:
    from lloco_core.config import MaintenanceConfig, StoreConfig

LEASE = "maintenance"


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What every step of a maintenance needs."""

    store: Store
    lease: CommitLease
    config: MaintenanceConfig


@contextmanager
def open_maintenance(store_config: StoreConfig, config: MaintenanceConfig, run_id: str) -> Iterator[Maintenance]:
    """Take the maintenance lease: two maintenances exclude each other, an ingest goes on.

    Raises:
        StorageError: there is no store at the URI.
        CommitError: another maintenance is at work.
    """
    store = Store(store_config.uri)
    if not store.exists("ledger"):
        raise StorageError(f"{store.root} holds no store; run an ingest with --store.uri {store_config.uri} first")
    with CommitLease(store.objects, run_id, store_config.lease_seconds, name=LEASE) as lease:
        yield Maintenance(store, lease, config)
