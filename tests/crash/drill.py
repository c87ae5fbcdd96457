"""What the crash drills share: a small corpus in two states, one ingest as a driver runs it, and a picture of the tables.

`ingest` is the driver's whole way (lease, recovery, plan, commit, index, publish); how shards are compressed is given to it,
so the drills run it with a for-loop and a toy encoder, or on Ray with the reference encoder.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

ENCODER = "toy-encoder"
SUMMARY, HIDDEN, DIMENSION = 2, 8, 4
SHARD_OBJECTS = 3


def write_corpus(folder: Path, words: int = 30) -> None:
    """Ten documents in two groups; `bad` and `worse` cannot be read."""
    for number in range(10):
        path = folder / ("north" if number % 2 else "south") / f"doc-{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(number, words + number))
    (folder / "north" / "bad.txt").write_text("  ")
    (folder / "south" / "worse.txt").write_text("")


def change_corpus(folder: Path) -> None:
    """The next night: one text is another, two grew, one became unreadable, one can be read at last, one is still bad, two are
    new, one was only touched, one has another name, and one is gone."""
    (folder / "north" / "doc-1.txt").write_text(text(101, 40))
    for number in (4, 8):
        with (folder / "south" / f"doc-{number}.txt").open("a") as grown:
            grown.write(" " + text(100 + number, 12))
    (folder / "north" / "doc-3.txt").write_text(" ")
    (folder / "north" / "bad.txt").write_text("readable at last")
    (folder / "south" / "worse.txt").write_text("   ")
    (folder / "north" / "new-1.txt").write_text(text(201, 25))
    (folder / "south" / "new-2.txt").write_text(text(202, 25))
    os.utime(folder / "south" / "doc-6.txt", (1, 1))
    (folder / "north" / "doc-5.txt").rename(folder / "north" / "renamed.txt")
    (folder / "north" / "doc-7.txt").unlink()


CHANGED = {"doc-1", "doc-4", "doc-8", "bad", "new-1", "new-2"}
"""Documents that the second night has to encode; beside them it writes the renamed one."""


def text(seed: int, words: int) -> str:
    """A seeded text of so many words."""
    vocabulary = ["river", "stone", "lantern", "harbour", "winter", "copper", "meadow", "signal", "thread", "orchard"]
    picks = np.random.default_rng(seed).integers(0, len(vocabulary), words)
    return f"Report {seed}. " + " ".join(vocabulary[pick] for pick in picks) + "."


def picture(store_uri: str) -> dict[str, list[dict[str, Any]]]:
    """Everything a reader can see, without what says when and by which attempt it was written; sorted by key."""
    from lloco_core.store.tables import Store

    store = Store(store_uri)
    attempt = {"run_id", "shard_id", "plan_id", "created_at", "first_seen", "last_seen"}
    keys = {
        "documents": ("doc_id", "version_id", "status", "etag"),
        "segments": ("doc_id", "version_id", "segment_index"),
        "passages": ("doc_id", "version_id", "passage_index"),
        "quarantine": ("uri",),
    }
    tables = {}
    for name, key in keys.items():
        rows = [
            {column: value for column, value in row.items() if column not in attempt} for row in store.dataset(name).to_table().to_pylist()
        ]
        tables[name] = sorted(rows, key=lambda row: [row[column] for column in key])
    return tables


def ledger(store_uri: str) -> list[dict[str, Any]]:
    from lloco_core.store.tables import Store

    return Store(store_uri).dataset("ledger").to_table().to_pylist()


def configuration(corpus: Path, store_uri: str, options: dict[str, Any] | None = None, **layout: Any) -> Any:
    from lloco_core.config import NightlyConfig

    return NightlyConfig(
        corpus={"uri": str(corpus), "group_by": "folder", "quarantine_rate": 1.0} | (options or {}),
        store={"uri": store_uri, "shard_objects": SHARD_OBJECTS, "commit_every": 1} | layout,
        encoder={"device": "cpu"},
        retrieval={"passage_chars": 200},
        cluster={"object_store_mb": 100},
    )


def finish(session: Any) -> dict[str, Any]:
    """The steps of an open ingest, as `flows/ingest_corpus.py` takes them."""
    from lloco_core.distributed.ingest import compress_and_commit, plan_ingest
    from lloco_core.store import index, nights

    plan = plan_ingest(session)
    compress_and_commit(session, plan, lambda _: None)
    index.build_indices(session.store)
    night = nights.publish_night(session.store, session.run_id, session.lease)
    return {
        "recovered": session.n_recovered,
        "planned": sorted(source.relative_path for shard in plan.shards for source in shard.objects),
        "night": night,
    }


def die() -> None:
    """kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)
