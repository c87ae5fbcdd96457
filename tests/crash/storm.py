"""Nights that are killed (kill -9) at random moments until they are through, beside the same nights undisturbed.

`python -m tests.crash.storm <folder> <seed> <kills>` forks a process per attempt and kills it after a random share of the time that
the undisturbed ingest of the same night took. After every night both stores must be equal. Prints the kills per stage as JSON.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.drill import ledger, picture, text
from tests.crash.forks import complete, fork
from tests.crash.loop import ingest

LONGEST = 0.8
"""Upper bound of the delay before a kill, in undisturbed ingests: with what earlier attempts left, a night gets through."""

NIGHTS_PER_STORE = 8

STAGES = (
    ("tables", "lloco_core.store.tables", "Store.create_tables"),
    ("lease", "lloco_core.store.lease", "CommitLease.__enter__"),
    ("recovery", "lloco_core.distributed.ingest", "finish_interrupted"),
    ("plan", "lloco_core.distributed.ingest", "plan_ingest"),
    ("read", "lloco_core.pipeline", "read_shard"),
    ("encode", "lloco_core.pipeline", "compress_shard"),
    ("write", "lloco_core.store.write", "write_shard"),
    ("record", "lloco_core.store.write", "save_record"),
    ("commit", "lloco_core.store.commit", "Committer.commit"),
    ("append", "lloco_core.store.commit", "Committer._append"),
    ("retire", "lloco_core.store.commit", "retire_replaced"),
    ("quarantine", "lloco_core.store.commit", "record_rejections"),
    ("close", "lloco_core.store.commit", "Committer.close"),
    ("index", "lloco_core.store.index", "build_indices"),
    ("publish", "lloco_core.store.nights", "publish_night"),
    ("release", "lloco_core.store.lease", "CommitLease.__exit__"),
)
"""Stage, and the function whose calls it is; between them it is `driver`."""

WRITE = [name for name, _, _ in STAGES].index("write") + 1

CHANGES = ("new", "rewrite", "grow", "grow", "blank", "touch", "move", "remove")

STAGE = mmap.mmap(-1, 1)
"""Where an attempt is, as the parent sees it: 0 is `driver`."""


def main() -> None:
    folder, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for number, (_, module, name) in enumerate(STAGES, 1):
        _mark(import_module(module), name, number)
    random, corpus, killed, night = Random(seed), folder / "corpus", Counter[str](), 0
    while killed.total() < kills:
        calm, storm = (str(folder / f"{name}-{night // NIGHTS_PER_STORE}") for name in ("calm", "storm"))
        night += 1
        change_at_random(corpus, random)
        before, after = _watched(fork(run_night, corpus, calm, f"night-{night}"))
        for attempt in range(kills - killed.total()):
            writes = attempt % 2 == 1  # reading and planning take most of the time, writing has most of the steps
            longest = LONGEST * (after if writes else before + after)
            stage = _killed_at(fork(run_night, corpus, storm, f"night-{night}-{attempt}"), random.uniform(0, longest), writes)
            if stage is None:
                break
            killed[stage] += 1
        else:
            complete(fork(run_night, corpus, storm, f"night-{night}"))
        complete(fork(refuse_difference, calm, storm))
    sys.stdout.write(json.dumps({"nights": night, "kills": killed}))


def run_night(corpus: Path, store_uri: str, run_id: str) -> None:
    """An ingest that accepts whatever chance removed."""
    ingest(corpus, store_uri, run_id, options={"delete_rate": 1})


def _watched(child: int) -> tuple[float, float]:
    """Wait for an undisturbed ingest; returns its seconds before its first write, and after."""
    started = time.monotonic()
    _wait_for_writing(child)
    writing = time.monotonic()
    complete(child)
    STAGE[0] = 0
    return writing - started, time.monotonic() - writing


def _wait_for_writing(child: int) -> None:
    """Until a process writes a shard or does what comes after it; or has ended, which is left to be waited for."""
    while STAGE[0] < WRITE and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)


def _killed_at(child: int, seconds: float, writes: bool) -> str | None:
    """Kill a process some time after it began, or began to write; returns the stage it was in, None if it had ended by then."""
    if writes:
        _wait_for_writing(child)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit("an attempt failed, see above")
    stage, STAGE[0] = STAGE[0], 0
    return ["driver", *(name for name, _, _ in STAGES)][stage] if status else None


def change_at_random(corpus: Path, random: Random, changes: tuple[str, ...] = CHANGES) -> None:
    """Make a dozen changes or so to the files of a corpus, which is made on the first call."""
    for group in ("north", "south"):
        (corpus / group).mkdir(parents=True, exist_ok=True)
    for _ in range(random.randint(4, 20)):
        files = sorted(corpus.rglob("*.txt"))
        seed = random.randrange(10**6)
        new = corpus / random.choice(("north", "south")) / f"doc-{seed}.txt"
        if len(files) < 16:
            new.write_text(text(seed, random.randint(5, 60)))
            continue
        path, change = random.choice(files), random.choice(changes)
        if change in ("new", "rewrite"):
            (new if change == "new" else path).write_text(text(seed, random.randint(5, 60)))
        elif change == "grow":
            with path.open("a") as grown:
                grown.write(" " + text(seed, random.randint(1, 30)))
        elif change == "blank":
            path.write_text(" " * (seed % 3))
        elif change == "touch":
            os.utime(path, (seed, seed))
        elif change == "move":
            path.rename(new)
        else:
            path.unlink()


def refuse_difference(calm: str, storm: str) -> None:
    """Compare two stores as readers see them, row for row and vector for vector, and look for shards that were counted twice."""
    expected, found = picture(calm), picture(storm)
    for table, rows in expected.items():
        assert found[table] == rows, f"{table}: {[row for row in rows if row not in found[table]]} != {found[table]}"
    shards = [row["shard_id"] for row in ledger(storm) if row["entry"] == "shard"]
    assert len(shards) == len(set(shards)), shards
    counted = [sum(row["n_documents"] for row in ledger(store) if row["entry"] == "shard") for store in (calm, storm)]
    assert counted[0] == counted[1], counted


def _mark(module: Any, path: str, number: int) -> None:
    owner_name, _, name = path.rpartition(".")
    owner = getattr(module, owner_name) if owner_name else module
    original = getattr(owner, name)

    def marked(*args: Any, **kwargs: Any) -> Any:
        before, STAGE[0] = STAGE[0], number
        try:
            return original(*args, **kwargs)
        finally:
            STAGE[0] = before

    setattr(owner, name, marked)


if __name__ == "__main__":
    main()
