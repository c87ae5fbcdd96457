"""Busy seconds: split among shards without loss, put together per run from whatever records there are."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest

from lloco_core.config import NightlyConfig
from lloco_core.distributed.ingest import IngestTotals
from lloco_core.objects import LocalObjects
from lloco_core.observe.busy import EncoderBusy, EncoderMeter
from lloco_core.observe.report import RunReport
from lloco_core.pipeline import compress_shard
from lloco_core.store.records import ShardRecord, load_records, save_record
from lloco_core.types import Shard, TokenizedShard
from tests.crash.loop import ToyEmbedder, ToyEncoder
from tests.unit.plans import nothing_planned


class Device:
    """Counts busy seconds when told to."""

    def __init__(self, busy_seconds: float = 0.0) -> None:
        self.busy_seconds = busy_seconds


def record(shard_id: str, encoder_id: str = "", started: float | None = None, ended: float | None = None, busy: float = 0.0) -> ShardRecord:
    return ShardRecord(
        plan_id="plan",
        shard_id=f"plan-{shard_id}",
        run_id="run",
        n_documents=1,
        n_segments=1,
        n_passages=1,
        n_tokens=100,
        n_encoded_tokens=100,
        n_unchanged=0,
        encode_seconds=busy,
        fragments={},
        source_uris=(),
        encoder_id=encoder_id,
        encode_started=started,
        encode_ended=ended,
    )


def test_seconds_in_which_two_shards_overlap_are_split_by_tokens():
    device = Device(busy_seconds=7.0)  # warming up belongs to no shard
    meter = EncoderMeter(device)
    with meter.shard(300) as first:
        device.busy_seconds += 1.0
        with meter.shard(100) as second:
            device.busy_seconds += 2.0
        device.busy_seconds += 4.0
    assert first.busy_seconds == pytest.approx(1.0 + 1.5 + 4.0)
    assert second.busy_seconds == pytest.approx(0.5)
    assert first.started <= second.started <= second.ended <= first.ended
    assert first.encoder_id == second.encoder_id == meter.encoder_id != EncoderMeter(device).encoder_id


def test_seconds_between_two_shards_go_to_the_next_one():
    device = Device()
    meter = EncoderMeter(device)
    with meter.shard(10) as first:
        device.busy_seconds += 1.0
    device.busy_seconds += 0.25
    with meter.shard(10) as second:
        device.busy_seconds += 1.0
    assert (first.busy_seconds, second.busy_seconds) == (1.0, 1.25)


def test_a_shard_that_fails_takes_its_seconds_with_it():
    device = Device()
    meter = EncoderMeter(device)
    with pytest.raises(ValueError, match="broken"), meter.shard(10):
        device.busy_seconds += 5.0
        raise ValueError("broken")
    with meter.shard(10) as second:
        device.busy_seconds += 1.0
    assert second.busy_seconds == 1.0


def test_shards_of_many_threads_add_up_to_what_the_device_did():
    device, lock = Device(), Lock()
    meter = EncoderMeter(device)

    def encode(seed: int) -> float:
        steps = random.Random(seed)
        with meter.shard(steps.randint(1, 1000)) as use:
            for _ in range(50):
                with lock:
                    device.busy_seconds += steps.random()
        return use.busy_seconds

    with ThreadPoolExecutor(8) as threads:
        shares = list(threads.map(encode, range(64)))
    assert sum(shares) == pytest.approx(device.busy_seconds)
    assert min(shares) >= 0


def test_a_run_puts_spans_together_per_encoder_gaps_included():
    busy = EncoderBusy()
    for item in (
        record("1", "a", 100.0, 104.0, busy=4.0),
        record("2", "a", 102.0, 106.0, busy=1.5),
        record("3", "a", 108.0, 110.0, busy=2.0),  # it waited for two seconds
        record("4", "b", 500.0, 510.0, busy=9.5),  # another node, or the worker that replaced the first
        record("5"),  # nothing to encode
        record("6", busy=33.0),  # written by an older version
    ):
        busy.add(item)
    assert busy.spans == {"a": (100.0, 110.0), "b": (500.0, 510.0)}
    assert (busy.busy_seconds, busy.seconds, busy.share) == (17.0, 20.0, 0.85)
    assert str(busy) == "85 % of 20 s on 2 encoders"
    assert busy.as_json() == {"share": 0.85, "busy_seconds": 17.0, "seconds": 20.0, "encoders": 2}


def test_the_order_of_records_does_not_matter():
    records = [record(str(n), "ab"[n % 2], 10.0 * n, 10.0 * n + 15, busy=5.0) for n in range(7)]
    forth, back = EncoderBusy(), EncoderBusy()
    for item in records:
        forth.add(item)
    for item in reversed(records):
        back.add(item)
    assert forth == back


def test_without_measurements_there_is_no_share():
    busy = EncoderBusy()
    busy.add(record("1", busy=3.0))
    assert (busy.share, str(busy)) == (None, "-")
    assert busy.as_json()["share"] is None


def test_records_keep_the_interval_and_old_ones_still_load(tmp_path: Path):
    objects = LocalObjects(str(tmp_path))
    new, old = record("1", "a", 100.0, 104.0, busy=4.0), record("2", busy=3.0)
    save_record(objects, new)
    save_record(objects, old)
    path = tmp_path / "_plans" / "plan" / "plan-2.json"
    fields = json.loads(path.read_text())
    for name in ("encoder_id", "encode_started", "encode_ended"):
        del fields[name]
    path.write_text(json.dumps(fields))
    assert load_records(objects, "plan") == [new, old]


def test_a_shard_without_documents_used_no_encoder():
    shard = TokenizedShard(Shard("plan", "plan-000000", ()), [], [], [])
    compressed = compress_shard(shard, ToyEncoder(), ToyEmbedder(), 200, None)
    assert (compressed.encoder_id, compressed.encode_started, compressed.encode_ended, compressed.encode_seconds) == ("", None, None, 0.0)


def test_the_report_shows_how_busy_the_encoders_were():
    totals = IngestTotals()
    for item in (record("1", "a", 0.0, 10.0, busy=9.0), record("2", "b", 0.0, 10.0, busy=10.0)):
        totals.add(item)
    report = RunReport.start(NightlyConfig(corpus={"uri": "texts"}, store={"uri": "store"}))
    report.plan, report.totals = nothing_planned(), totals
    assert dict(report.facts())["encoder busy"] == "95 % of 20 s on 2 encoders"
    assert dict(report.facts())["encoder rate"] == "11 tokens/s"
    assert report.as_json()["encoder_busy"] == {"share": 0.95, "busy_seconds": 19.0, "seconds": 20.0, "encoders": 2}
