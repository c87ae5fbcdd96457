"""The costs of a store, from its ledger, its adapters, and the prices its runs were configured with."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from lloco_core.errors import StorageError
from lloco_core.observe.cost import GroupCosts, Price
from lloco_core.store.runs import load_config
from lloco_core.store.tables import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lloco_core.config import ClusterConfig

COLUMNS = ["entry", "run_id", "encode_seconds", "group_tokens", "committed_at"]


def store_costs(store_uri: str, since: str | None = None) -> GroupCosts:
    """Add up what a store's groups cost.

    Args:
        store_uri: the store.
        since: a night; this one and later ones are counted. By default all.

    Raises:
        StorageError: there is no store, or no such night.
    """
    store = Store(store_uri)
    if not store.exists("ledger"):
        raise StorageError(f"{store.root} holds no store; run an ingest with --store.uri {store_uri} first")
    present = set(store.dataset("ledger").schema.names)
    ledger = store.dataset("ledger").to_table(columns=[name for name in COLUMNS if name in present]).to_pylist()
    published = {row["run_id"]: row["committed_at"] for row in ledger if row["entry"] == "night"}
    if since is not None and since not in published:
        raise StorageError(f"{store.root} has no night {since!r}; `lloco status` lists them")
    cluster_of = _clusters(store)
    costs = GroupCosts()
    before = _night_before(published, since)
    for row in ledger:
        if row["entry"] == "shard" and (before is None or row["committed_at"] > before):
            _charge_shard(costs, row, cluster_of)
    for row in store.dataset("adapters").to_table(columns=["group_id", "night", "metrics", "created_at"]).to_pylist():
        if since is None or published.get(row["night"], row["created_at"]) >= published[since]:
            _charge_training(costs, row, cluster_of)
    return costs


def _night_before(published: dict[str, datetime], since: str | None) -> datetime | None:
    """When the night before was published: what was committed later belongs to `since` and the nights after it."""
    return None if since is None else max((at for at in published.values() if at < published[since]), default=None)


def _charge_shard(costs: GroupCosts, row: dict[str, Any], cluster_of: Callable[[str], ClusterConfig | None]) -> None:
    cluster = cluster_of(row["run_id"])
    group_tokens = json.loads(row.get("group_tokens") or "{}")
    costs.charge_shard(group_tokens, row["encode_seconds"], Price.of(cluster) if cluster else None)


def _charge_training(costs: GroupCosts, row: dict[str, Any], cluster_of: Callable[[str], ClusterConfig | None]) -> None:
    cluster = cluster_of(row["night"])
    seconds = (json.loads(row["metrics"]).get("seconds") or 0.0) * (cluster.train_workers if cluster else 1)
    costs.charge_training(row["group_id"], seconds, Price.of(cluster) if cluster else None)


def _clusters(store: Store) -> Callable[[str], ClusterConfig | None]:
    """The cluster section of a run's or night's configuration; None where the configuration is gone."""

    @cache
    def cluster_of(run_id: str) -> ClusterConfig | None:
        known = store.objects.stat(f"_runs/{run_id}/config.json")
        return load_config(store.objects, run_id).cluster if known else None

    return cluster_of
