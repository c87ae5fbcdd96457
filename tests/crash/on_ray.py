"""An ingest on Ray with the reference encoder, as a program that can be killed or that kills one of its workers.

`python -m tests.crash.on_ray <corpus> <store> <run_id> <report.json> [driver|worker|document]`: with `document` every encoder worker
that meets `POISON` dies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil

from lloco_core.distributed import compression
from lloco_core.distributed.ingest import open_ingest
from lloco_core.distributed.session import ray_session
from lloco_core.store.records import load_records, open_plans
from tests.crash.drill import configuration, die, finish
from tests.crash.loop import kill_at_append

WORKER = "MapWorker"
POISON = "doc-4"


def encoder_workers() -> list[psutil.Process]:
    """Actor processes of this session; Ray names them after their class."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            found += [process] if WORKER in " ".join(process.cmdline()) else []
        except psutil.Error:
            continue
    return found


class KillWorker:
    """Kills the encoder worker after the first commit, and notes how much was written by then."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.report: dict[str, Any] = {}

    def __call__(self, progress: Any) -> None:
        if self.report:
            return
        workers = encoder_workers()
        for worker in workers:
            worker.kill()
        [plan] = open_plans(self.session.store.objects)
        written = len(load_records(self.session.store.objects, plan.plan_id))
        self.report = {"killed": [worker.pid for worker in workers], "written": written, "shards": progress.n_shards}


def poisoned_actor(job: Any, threads: int) -> type:
    class Compress(compression._Compress):
        def __init__(self) -> None:
            super().__init__(job, threads)

        def _compress(self, shard: Any) -> Any:
            if POISON in [item.document.title for item in shard.documents]:
                die()
            return super()._compress(shard)

    return Compress


def main() -> None:
    corpus, store_uri, run_id, report = sys.argv[1:5]
    victim = sys.argv[5] if len(sys.argv) > 5 else ""
    if victim == "document":
        compression._compress_actor = poisoned_actor
    config = configuration(Path(corpus), store_uri)
    with ray_session(config.cluster), open_ingest(config, run_id) as session:
        if victim == "driver":
            kill_at_append("documents", afterwards=False)
        killer = KillWorker(session) if victim == "worker" else lambda _: None
        result = finish(session, killer)
        result |= killer.report if victim == "worker" else {}
        Path(report).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
