"""Ray Data as `distributed.graph` relies on it: shards at once in one actor, a counted bound, and every shard exactly once.

Nearly all of its time goes into starting workers.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lloco_core.distributed.compression import CompressionJob, compress_shards
from lloco_core.distributed.graph import EncoderPool, run_graph
from lloco_core.observe.busy import EncoderBusy
from lloco_core.store.records import load_records
from tests.contract.own_ray import sent_by_value
from tests.crash.drill import configuration, write_corpus

pytestmark = pytest.mark.timeout(280)


@pytest.fixture(scope="module", autouse=True)
def ray_session(ray_of_contracts: None) -> Iterator[None]:
    with sent_by_value(__name__):
        yield


def note(log: str, what: str) -> None:
    """Append a line; lines of all processes are in the order in which things happened."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{what}\n".encode())
    os.close(file)


def read(row: dict, log: str) -> dict:
    note(log, "read starts")
    time.sleep(0.01)
    note(log, "read ends")
    return row


def write(row: dict, log: str) -> dict:
    note(log, "write starts")
    time.sleep(0.01)
    note(log, "write ends")
    return row


def at_most(events: list[str], enters: str, leaves: str) -> int:
    """The most that were between two events at a time."""
    inside, most = 0, 0
    for event in events:
        inside += (event == enters) - (event == leaves)
        most = max(most, inside)
    return most


def run(encoder: type, log: Path, n_rows: int, shards_in_flight: int) -> list[int]:
    rows = [{"shard": number} for number in range(n_rows)]
    pool = EncoderPool(min_size=1, max_size=1, num_cpus=1, num_gpus=0, shards_in_flight=shards_in_flight)
    return [row["shard"] for row in run_graph(rows, partial(read, log=str(log)), encoder, partial(write, log=str(log)), pool)]


def test_shards_meet_in_one_actor_while_others_are_read_and_no_more_are_held_than_promised(tmp_path: Path):
    log = tmp_path / "log"
    path = str(log)

    class Meeting:
        """Nobody leaves before two are inside."""

        def __init__(self) -> None:
            self.both = threading.Barrier(2)

        def __call__(self, row: dict) -> dict:
            note(path, "encode starts")
            self.both.wait(timeout=60)
            time.sleep(0.15)
            note(path, "encode ends")
            return row

    assert sorted(run(Meeting, log, n_rows=24, shards_in_flight=2)) == list(range(24))
    events = log.read_text().splitlines()
    assert at_most(events, "encode starts", "encode ends") == 2
    assert at_most(events, "read ends", "encode starts") >= 2  # the encoder finds its next shards tokenised
    held = EncoderPool(1, 1, 1, 0, shards_in_flight=2).shards_held
    assert held == 6
    assert at_most(events, "read starts", "write ends") <= held


def test_a_worker_that_dies_with_several_shards_loses_and_doubles_none(tmp_path: Path):
    log, died = tmp_path / "log", str(tmp_path / "died")
    path = str(log)

    class DiesOnce:
        def __init__(self) -> None:
            self.all = threading.Barrier(3)

        def __call__(self, row: dict) -> dict:
            note(path, "encode starts")
            if not os.path.exists(died):
                self.all.wait(timeout=60)  # three are inside
                note(died, "")
                os._exit(1)
            return row

    assert sorted(run(DiesOnce, log, n_rows=12, shards_in_flight=3)) == list(range(12))
    assert Counter(log.read_text().splitlines())["encode starts"] > 12


def test_an_exception_of_one_shard_ends_the_run_with_its_message(tmp_path: Path):
    class Refuses:
        def __call__(self, row: dict) -> dict:
            if row["shard"] == 3:
                raise ValueError("shard 3 is of another encoder")
            return row

    with pytest.raises(Exception, match="shard 3 is of another encoder"):
        run(Refuses, tmp_path / "log", n_rows=8, shards_in_flight=2)


@pytest.mark.real
def test_records_of_overlapping_shards_are_whole_and_say_how_busy_the_encoder_was(tmp_path: Path):
    from lloco_core.compressor import load_encoder
    from lloco_core.config import ClusterConfig
    from lloco_core.planning import plan_corpus
    from lloco_core.retrieval.embedder import Embedder
    from lloco_core.store.tables import Store

    write_corpus(tmp_path / "corpus", words=400)
    config = configuration(tmp_path / "corpus", str(tmp_path / "store"), shard_objects=2)
    encoder, store = load_encoder("reference"), Store(config.store.uri)
    store.create_tables(encoder.summary_length, encoder.hidden_size, Embedder("minilm").dimension)
    plan = plan_corpus(config.corpus, config.store, store, encoder.fingerprint)
    job = CompressionJob(
        run_id="run-1",
        store_uri=config.store.uri,
        corpus=config.corpus,
        encoder=config.encoder.model_copy(update={"device": "cpu", "dtype": "float32"}),
        retrieval=config.retrieval,
        encoder_fingerprint=encoder.fingerprint,
        segment_length=encoder.segment_length,
        summary_length=encoder.summary_length,
        base_versions={name: store.dataset(name).version for name in ("documents", "segments")},
        centroids=None,
    )
    records = list(compress_shards(plan.shards, range(len(plan.shards)), job, ClusterConfig(cpus_per_encoder=1, shards_in_flight=2)))

    assert sorted(record.shard_id for record in records) == sorted(shard.shard_id for shard in plan.shards)
    assert sorted(record.shard_id for record in load_records(store.objects, plan.plan_id)) == sorted(record.shard_id for record in records)
    assert sum(record.n_documents for record in records) == 10
    spans = [(record.encode_started, record.encode_ended) for record in records if record.n_documents]
    assert any(a != b and a[0] <= b[0] < a[1] for a in spans for b in spans)  # two were with the encoder at once
    busy = EncoderBusy()
    for record in records:
        busy.add(record)
    assert len(busy.spans) == 1
    assert 0 < busy.share <= 1.01
    assert busy.busy_seconds == pytest.approx(sum(record.encode_seconds for record in records))
