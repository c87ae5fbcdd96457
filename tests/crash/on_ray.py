"""An ingest on Ray with the reference encoder, as a program whose driver or workers are killed.

`python -m tests.crash.on_ray <corpus> <store> <run_id> <report.json> [driver|document]`: with `document` every encoder worker that
meets `POISON` dies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lloco_core.distributed import compression
from lloco_core.distributed.ingest import open_ingest
from lloco_core.distributed.session import ray_session
from tests.crash.drill import configuration, die, finish
from tests.crash.loop import kill_at_append

POISON = "doc-4"


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
        Path(report).write_text(json.dumps(finish(session)))


if __name__ == "__main__":
    main()
