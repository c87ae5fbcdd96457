"""The maintenance flow, through Prefect, on a store of three small nights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lloco_core.config import MaintainConfig
from lloco_core.errors import StorageError
from lloco_core.store.read import open_night
from lloco_core.store.tables import Store
from tests.crash.drill import change_corpus, picture, write_corpus
from tests.crash.loop import ingest


def test_a_store_is_maintained_and_a_second_time_nothing_is_done(prefect_server, tmp_path: Path):
    from prefect.artifacts import Artifact

    from flows.maintain_store import maintain_store

    corpus, store_uri = tmp_path / "corpus", str(tmp_path / "store")
    write_corpus(corpus)
    nights = [ingest(corpus, store_uri, "night-1")["night"]]
    change_corpus(corpus)
    nights.append(ingest(corpus, store_uri, "night-2")["night"])
    (corpus / "north" / "doc-9.txt").write_text("The last night.")
    nights.append(ingest(corpus, store_uri, "night-3")["night"])
    before = picture(store_uri)
    config = MaintainConfig(store={"uri": store_uri}, maintenance={"keep_nights": 2, "keep_monthly": 0})

    first = maintain_store(config)
    again = maintain_store(config)

    assert picture(store_uri) == before
    assert first.retired == nights[:1]
    assert {item.table for item in first.compacted if item.n_removed} >= {"segments", "passages", "documents", "ledger"}
    assert [name for name, _ in again.rows()] == ["run", "store", "result"]
    assert {open_night(store_uri, night).name for night in nights[1:]} == set(nights[1:])
    with pytest.raises(StorageError, match="cleaned up"):
        open_night(store_uri, nights[0])
    assert "nothing to do" in Artifact.get("maintenance").data
    kept = json.loads(Store(store_uri).objects.get(f"_runs/{first.run_id}/summary.json"))
    assert kept["retired"] == nights[:1]
