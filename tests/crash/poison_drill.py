"""Workers that die of a document, without Ray: a parent replaces them for ever, as Ray does, and repeats the shards they had.

`python -m tests.crash.poison_drill <folder> '{"<drill>": {"in_flight": 1, "shards": {"<shard>": ["<document>", ...]}}}'`: a worker dies
(SIGKILL) while it encodes a document whose name begins with `poison`, always, or with `unlucky`, together with others and once
alone. Prints what became of every shard. Lance, which is not fork-safe, is not imported.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lloco_core.encoder_turns import EncoderTurns
from lloco_core.objects import LocalObjects
from lloco_core.poison import compress_bounded
from lloco_core.store.records import load_records
from lloco_core.types import CompressedDocument, CompressedShard, Document, Shard, TokenizedDocument, TokenizedShard
from tests.crash.drill import die

PLAN = "plan"
MAX_WORKERS = 30


class Worker:
    """An encoder worker that threads call with shards of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.objects, self.turns = folder, LocalObjects(str(folder)), EncoderTurns()

    def __call__(self, shard: TokenizedShard) -> None:
        done = compress_bounded(shard, self._compress, self.objects, self.turns)
        names = [item.document.doc_id for item in done.documents]
        rejections = {item.uri: [item.code, item.message] for item in done.rejections}
        result = {"documents": names, "rejections": rejections, "encode_seconds": done.encode_seconds}
        making = self.folder / f"{shard.shard.shard_id}.making"
        making.write_text(json.dumps(result))
        making.rename(self.folder / f"{shard.shard.shard_id}.done")  # another thread may die, and all with it, in the middle

    def _compress(self, shard: TokenizedShard) -> CompressedShard:
        for item in shard.documents:
            name = item.document.doc_id
            with (self.folder / "encoded").open("a") as log:
                log.write(f"{name} {len(shard.documents)}\n")
            time.sleep(0.01)  # lets the other threads be in the middle of something
            if name.startswith("poison") or (name.startswith("unlucky") and self._is_first_time_alone(shard, name)):
                die()
        nothing = np.zeros((0, 4), np.float32)
        documents = [CompressedDocument(item.document, "group", len(item.token_ids), 0, [], [], nothing) for item in shard.documents]
        return CompressedShard(shard.shard, documents, shard.unchanged, shard.rejections, 1.0, "toy", time.time(), time.time())

    def _is_first_time_alone(self, shard: TokenizedShard, name: str) -> bool:
        times = Counter((self.folder / "encoded").read_text().split("\n"))
        return len(shard.documents) > 1 or times[f"{name} 1"] == 1


def tokenized(name: str) -> TokenizedDocument:
    text = f"{name} says this. " * 9
    document = Document(name, f"file:///{name}", "etag", text, "hash", name, "text/plain", group="group")
    chars = np.stack([np.arange(len(text)), np.arange(1, len(text) + 1)], axis=1)
    return TokenizedDocument(document, np.frombuffer(text.encode(), np.uint8).astype(np.int64), chars)


def work(folder: Path, shards: list[TokenizedShard], in_flight: int) -> None:
    """One worker's life: `in_flight` threads take the shards that are left."""
    left = [shard for shard in shards if not (folder / f"{shard.shard.shard_id}.done").exists()]
    with ThreadPoolExecutor(in_flight) as pool:
        list(pool.map(Worker(folder), left))


def drill(folder: Path, in_flight: int, shards: dict[str, list[str]]) -> dict[str, Any]:
    """Replace workers until one lives to the end; how many there were, and what became of the shards."""
    folder.mkdir()
    work_left = [TokenizedShard(Shard(PLAN, f"{PLAN}-{name}", ()), list(map(tokenized, names)), [], []) for name, names in shards.items()]
    statuses = []
    while 0 not in statuses and len(statuses) < MAX_WORKERS:
        child = os.fork()
        if child == 0:
            work(folder, work_left, in_flight)
            os._exit(0)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert load_records(LocalObjects(str(folder)), PLAN) == []  # notes are no records
    return {"workers": len(statuses), "shards": {name: json.loads((folder / f"{PLAN}-{name}.done").read_text()) for name in shards}}


def main() -> None:
    folder = Path(sys.argv[1])
    drills = json.loads(sys.argv[2])
    sys.stdout.write(json.dumps({name: drill(folder / name, **arguments) for name, arguments in drills.items()}))


if __name__ == "__main__":
    main()
