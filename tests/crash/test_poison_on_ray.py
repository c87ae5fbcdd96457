"""A document that kills every encoder worker it meets, on Ray: the night ends, with everything but this document."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lloco_core.store.read import open_night
from lloco_core.store.records import open_plans
from lloco_core.store.tables import Store
from tests.crash.drill import picture, write_corpus
from tests.crash.on_ray import POISON
from tests.crash.test_on_ray import processes_of

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.real
@pytest.mark.timeout(600)
def test_a_night_ends_although_a_document_kills_every_worker(tmp_path):
    write_corpus(tmp_path / "corpus", words=60)
    store_uri = str(tmp_path / "store")
    with tempfile.TemporaryDirectory(prefix="ray-drill-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = os.environ | {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        environment.pop("RAY_ADDRESS", None)
        drill = ["tests.crash.on_ray", str(tmp_path / "corpus"), store_uri, "night-1", str(tmp_path / "report.json"), "document"]
        done = subprocess.run([sys.executable, "-m", *drill], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=550)
        for process in processes_of(folder):
            process.kill()
    assert done.returncode == 0, done.stderr[-3000:]

    quarantine = {row["uri"].rpartition("/")[2]: (row["stage"], row["code"]) for row in picture(store_uri)["quarantine"]}
    assert quarantine == {
        "bad.txt": ("parse", "empty"),
        "worse.txt": ("parse", "empty"),
        f"{POISON}.txt": ("encode", "encoder_killed"),
    }
    stored = [document.title for document in open_night(store_uri).documents()]
    assert sorted(stored) == sorted({f"doc-{number}" for number in range(10)} - {POISON})
    assert open_plans(Store(store_uri).objects) == []
