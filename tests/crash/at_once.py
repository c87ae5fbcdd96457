"""Nights that two processes ingest at the same moment into one store, beside a process that reads the newest night all the time.

`python -m tests.crash.at_once <folder> <store> <seed> <nights> <lease wait>` prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

from lloco_core.errors import CommitError, StorageError
from lloco_core.fingerprint import digest
from lloco_core.store.read import Night, open_night
from tests.crash.forks import complete, fork
from tests.crash.loop import ingest
from tests.crash.storm import change_at_random

CHANGES = ("new", "rewrite", "grow", "touch")
"""Those after which a night's documents are exactly the files of the corpus."""


def main() -> None:
    folder, store_uri, random, nights, wait = Path(sys.argv[1]), sys.argv[2], Random(int(sys.argv[3])), int(sys.argv[4]), float(sys.argv[5])
    corpus, states, refusals, stop = folder / "corpus", folder / "states.jsonl", folder / "refusals", folder / "stop"
    states.touch()
    reader = fork(read_until_stopped, store_uri, states, stop)
    for night in range(1, nights + 1):
        change_at_random(corpus, random, CHANGES)
        with states.open("a") as known:
            known.write(json.dumps(state_of(corpus)) + "\n")
        gate, opener = os.pipe()
        both = [fork(ingest_until_done, gate, corpus, store_uri, f"night-{night}-{side}", wait, refusals) for side in ("a", "b")]
        os.write(opener, b"go")
        complete(*both)
    stop.touch()
    complete(reader)
    refused = refusals.read_text().splitlines() if refusals.exists() else []
    sys.stdout.write(json.dumps({"refused": len(refused), "reads": json.loads(stop.read_text()), "last": json.loads(_last_line(states))}))


def state_of(corpus: Path) -> dict[str, str]:
    """URI and hash of the text of every file."""
    return {path.as_uri(): digest(path.read_text()) for path in sorted(corpus.rglob("*.txt"))}


def ingest_until_done(gate: int, corpus: Path, store_uri: str, run_id: str, wait: float, refusals: Path) -> None:
    """Wait for the gate, then ingest; again when the other process holds the lease, which is noted."""
    os.read(gate, 1)
    while True:
        try:
            ingest(corpus, store_uri, run_id, lease_seconds=5, lease_wait_seconds=wait)
        except CommitError as error:
            if "is being written by run" not in str(error):
                raise
            with refusals.open("a") as log:
                log.write(f"{run_id}\n")
        else:
            return


def read_until_stopped(store_uri: str, states: Path, stop: Path) -> None:
    """Check the newest night again and again; writes the reads per night into the stop file."""
    reads: Counter[str] = Counter()
    while not stop.exists():
        time.sleep(0.02)  # the cores are for the ingests
        try:
            night = open_night(store_uri)
        except StorageError as error:
            if reads or "no published night yet" not in str(error):
                raise
            continue
        refuse_torn(night, [json.loads(line) for line in states.read_text().splitlines()])
        reads[night.name] += 1
    stop.write_text(json.dumps(reads))


def refuse_torn(night: Night, states: list[dict[str, str]]) -> None:
    """A night has the documents of exactly one state of the corpus, each once, with all of its segments and passages."""
    documents = night.documents()
    found = {document.uri: document.content_hash for document in documents}
    assert found in states, f"{night.name} mixes states: {found}"
    assert len(documents) == len(found), f"{night.name} has a document twice"
    assert night.groups() == dict(sorted(Counter(uri.split("/")[-2] for uri in found).items())), night.groups()
    segments, passages = (
        _by_version(night, "segments", ["segment_index"]),
        _by_version(night, "passages", ["char_start", "char_end", "text"]),
    )
    for document in documents:
        key = document.doc_id, document.version_id
        assert sorted(row["segment_index"] for row in segments[key]) == list(range(document.n_segments)), (night.name, document)
        parts = sorted(passages[key], key=lambda row: row["char_start"])
        assert [row["char_start"] for row in parts] == [0, *(row["char_end"] for row in parts[:-1])], (night.name, document)
        assert digest("".join(row["text"] for row in parts)) == document.content_hash, (night.name, document)


def _by_version(night: Night, table: str, columns: list[str]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    rows = defaultdict(list)
    for row in night.table(table).to_table(columns=["doc_id", "version_id", *columns]).to_pylist():
        rows[row["doc_id"], row["version_id"]].append(row)
    return rows


def _last_line(path: Path) -> str:
    return path.read_text().splitlines()[-1]


if __name__ == "__main__":
    main()
