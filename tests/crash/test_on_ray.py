"""Whole nights on Ray with the reference encoder: the driver, or every encoder worker that meets a document, is killed (kill -9).

The undisturbed tables are made without Ray, by the same functions in a for-loop: both ways must agree.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

from lloco_core.store.read import open_night
from lloco_core.store.records import load_records, open_plans
from lloco_core.store.tables import Store
from tests.crash.drill import ledger, picture, write_corpus
from tests.crash.on_ray import POISON

REPOSITORY = Path(__file__).parents[2]

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, words=120)
    return folder


@pytest.fixture(scope="module")
def expected(corpus, tmp_path_factory):
    store_uri = str(tmp_path_factory.mktemp("expected"))
    reference_loop(corpus, store_uri)
    return picture(store_uri)


def reference_loop(corpus, store_uri):
    import torch

    from lloco_core.compressor import load_encoder
    from lloco_core.corpus.sources import corpus_uri
    from lloco_core.pipeline import compress_shard, read_shard
    from lloco_core.planning import plan_corpus
    from lloco_core.retrieval.embedder import Embedder
    from lloco_core.store.commit import Committer, begin_plan
    from lloco_core.store.lease import CommitLease
    from lloco_core.store.write import Writing, write_shard
    from tests.crash.drill import configuration

    torch.set_num_threads(2)
    encoder, embedder = load_encoder("reference"), Embedder("minilm")
    config, store = configuration(corpus, store_uri), Store(store_uri)
    store.create_tables(encoder.summary_length, encoder.hidden_size, embedder.dimension)
    plan = plan_corpus(config.corpus, config.store, store, encoder.fingerprint)
    with CommitLease(store.objects, "night-1", 600) as lease:
        committer = Committer(store, lease, begin_plan(store, plan.plan_id, "night-1", len(plan.shards)))
        writing = Writing("night-1", encoder.fingerprint, encoder.summary_length, corpus_uri(config.corpus))
        for shard in plan.shards:
            tokenized = read_shard(shard, config.corpus, encoder.tokenizer, encoder.fingerprint)
            compressed = compress_shard(tokenized, encoder, embedder, config.retrieval.passage_chars, None)
            committer.commit([write_shard(store, compressed, writing)])


@pytest.fixture
def ray_folder():
    """Ray's session folder, by which the processes of the session are found again."""
    with tempfile.TemporaryDirectory(prefix="ray-drill-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder
        for process in processes_of(folder):
            process.kill()


def processes_of(folder):
    """Processes that name the folder in their command line, and workers, whose title Ray replaces, by the log file they write."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            names = [file.path for file in process.open_files()] if command[:1] and command[0].startswith("ray::") else command
        except psutil.Error:
            continue
        found += [process] if any(folder in name for name in names) else []
    return found


def writers_of(folder):
    """Without Ray's agents, which serve its dashboard and outlive a killed driver by a while."""
    return [process for process in processes_of(folder) if not process.name().endswith("Agent")]


def night(corpus, store_uri, run_id, folder, victim=""):
    """Run a night in a process of its own; returns its exit status and report."""
    report = Path(folder, f"{run_id}.json")
    environment = os.environ | {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("RAY_ADDRESS", None)
    arguments = [sys.executable, "-m", "tests.crash.on_ray", str(corpus), store_uri, run_id, str(report), *filter(None, [victim])]
    done = subprocess.run(arguments, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == (-9 if victim == "driver" else 0), done.stderr[-3000:]
    return json.loads(report.read_text()) if report.exists() else {}


def assert_same(found, expected):
    """Row for row; vectors within the rounding that other batches and thread counts make."""
    for table, rows in expected.items():
        assert len(found[table]) == len(rows), table
        for row, wanted in zip(found[table], rows, strict=True):
            for column, value in wanted.items():
                if column in ("summary", "vector"):
                    np.testing.assert_allclose(np.float32(row[column]), np.float32(value), atol=1e-3, rtol=2e-3, err_msg=table)
                else:
                    assert row[column] == value, (table, column)


def assert_each_shard_once(store_uri, n_documents):
    shards = Counter(row["shard_id"] for row in ledger(store_uri) if row["entry"] == "shard")
    assert set(shards.values()) == {1}
    assert sum(row["n_documents"] for row in ledger(store_uri) if row["entry"] == "shard") == n_documents
    assert open_plans(Store(store_uri).objects) == []


def test_the_driver_is_killed_between_two_tables(corpus, expected, tmp_path, ray_folder):
    store_uri = str(tmp_path / "store")
    night(corpus, store_uri, "night-1", ray_folder, "driver")
    store = Store(store_uri)
    assert store.dataset("segments").count_rows() > store.dataset("documents").count_rows() > 0  # one batch, then half of one

    deadline = time.monotonic() + 30
    while writers_of(ray_folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert writers_of(ray_folder) == []  # Ray's workers end with their driver

    [plan] = open_plans(store.objects)
    recorded = load_records(store.objects, plan.plan_id)
    done = {uri for record in recorded for uri in record.source_uris}
    result = night(corpus, store_uri, "night-2", ray_folder)
    assert result["recovered"] == len(recorded) - 1  # one was in the ledger
    assert len(result["planned"]) == 12 - len(done)  # recorded shards are not encoded again
    assert_each_shard_once(store_uri, 10)
    assert_same(picture(store_uri), expected)
    assert open_night(store_uri).groups() == {"north": 5, "south": 5}


def test_a_document_kills_every_worker_while_the_run_goes_on(corpus, expected, tmp_path, ray_folder):
    store_uri = str(tmp_path / "store")
    result = night(corpus, store_uri, "night-1", ray_folder, "document")
    [poison] = [row for row in expected["documents"] if row["title"] == POISON]
    others = {
        table: [row for row in rows if row["doc_id"] != poison["doc_id"]] for table, rows in expected.items() if table != "quarantine"
    }
    found = picture(store_uri)
    quarantine = found.pop("quarantine")
    assert_each_shard_once(store_uri, 9)
    assert_same(found, others)
    assert {row["uri"].rpartition("/")[2]: (row["stage"], row["code"]) for row in quarantine} == {
        "bad.txt": ("parse", "empty"),
        "worse.txt": ("parse", "empty"),
        f"{POISON}.txt": ("encode", "encoder_killed"),
    }
    assert open_night(store_uri).name == result["night"] == "night-1"
