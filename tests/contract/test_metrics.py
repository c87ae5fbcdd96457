"""Ray's metrics as `distributed.metrics` relies on them: what a driver counts is read over HTTP, and outlives it as far as said."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lloco_core.distributed.metrics import MAX_GROUPS, OTHER_GROUPS, RayMetrics
from lloco_core.errors import LeaseLost
from lloco_core.observe.busy import EncoderBusy
from lloco_core.store.records import ShardRecord
from lloco_core.types import Rejection
from tests.contract.own_ray import sent_by_value

pytestmark = pytest.mark.real

STORE, RUN = "s3://company/lloco", "night-1"
SECONDS = 60
"""Ray exports every second here; only a broken export takes this long."""

RECORD = ShardRecord(
    plan_id="p1",
    shard_id="p1-000000",
    run_id=RUN,
    n_documents=3,
    n_segments=4,
    n_passages=5,
    n_tokens=600,
    n_encoded_tokens=400,
    n_unchanged=2,
    encode_seconds=8.0,
    fragments={},
    source_uris=(),
    rejections=(Rejection("file:///a", "e", "parse", "empty", "text"), Rejection("file:///b", "e", "parse", "empty", "text")),
    encoder_id="a",
    encode_started=100.0,
    encode_ended=110.0,
    n_bytes=1000,
    attempts=3,
    group_tokens={"north": 300, 'so"uth\n': 100},
)
NEXT = replace(
    RECORD,
    shard_id="p1-000001",
    attempts=1,
    removed={"v1": "a", "v2": "a", "v3": "b"},
    rejections=(Rejection("file:///c", "e", "parse", "pdf_damaged", "text"),),
)

LATE_DRIVER = """
import sys, ray
from lloco_core.distributed.metrics import RayMetrics
ray.init(address=sys.argv[1], log_to_driver=False)
RayMetrics(sys.argv[2], "night-2").night_published()
ray.shutdown()
"""


@pytest.fixture(scope="module", autouse=True)
def ray_session(ray_of_contracts: None) -> Iterator[None]:
    """Its metrics port is on the loopback and of its own choice."""
    with sent_by_value(__name__):
        yield


def scrape() -> dict[tuple[str, ...], float]:
    """(name, run, further tags) -> value of every metric of ours, as Prometheus reads it."""
    import ray
    from prometheus_client.parser import text_string_to_metric_families

    [node] = ray.nodes()
    with urllib.request.urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples if sample.name.startswith("ray_lloco")]
    assert all(sample.labels["store"] == STORE for sample in samples)
    further = ("group", "reason", "le")
    return {(s.name, s.labels["run"], *(s.labels[key] for key in further if key in s.labels)): s.value for s in samples}


def wait_for(*key: str) -> dict[tuple[str, ...], float]:
    deadline = time.monotonic() + SECONDS
    while key not in (found := scrape()):
        assert time.monotonic() < deadline, f"{key} is not among {sorted(found)}"
        time.sleep(0.2)
    return found


def test_what_was_committed_can_be_scraped():
    metrics = RayMetrics(STORE, RUN)
    metrics.committed([RECORD, NEXT], 2.5)
    busy = EncoderBusy()
    busy.add(RECORD)
    metrics.encoders_busy(busy)
    with pytest.raises(LeaseLost), metrics.lost_leases():
        raise LeaseLost("taken over")
    metrics.night_published()  # counted last, so all is there when this one is
    found = wait_for("ray_lloco_nights_total", RUN)
    counted = {key: value for key, value in found.items() if key[0].endswith("_total")}
    assert counted == {
        ("ray_lloco_shards_total", RUN): 2,
        ("ray_lloco_documents_total", RUN): 6,
        ("ray_lloco_unchanged_documents_total", RUN): 4,
        ("ray_lloco_removed_documents_total", RUN): 2,
        ("ray_lloco_segments_total", RUN): 8,
        ("ray_lloco_passages_total", RUN): 10,
        ("ray_lloco_tokens_total", RUN): 1200,
        ("ray_lloco_read_bytes_total", RUN): 2000,
        ("ray_lloco_retries_total", RUN): 2,
        ("ray_lloco_commit_seconds_total", RUN): 2.5,
        ("ray_lloco_quarantined_total", RUN, "empty"): 2,
        ("ray_lloco_quarantined_total", RUN, "pdf_damaged"): 1,
        ("ray_lloco_encoded_tokens_total", RUN, "north"): 600,
        ("ray_lloco_encoded_tokens_total", RUN, 'so"uth\n'): 200,
        ("ray_lloco_encoder_seconds_total", RUN, "north"): 12,
        ("ray_lloco_encoder_seconds_total", RUN, 'so"uth\n'): 4,
        ("ray_lloco_leases_lost_total", RUN): 1,
        ("ray_lloco_nights_total", RUN): 1,
    }
    assert found["ray_lloco_encoder_busy_ratio", RUN] == pytest.approx(0.8)
    commits = [found["ray_lloco_commit_duration_seconds_bucket", RUN, bound] for bound in ("1.0", "3.0", "+Inf")]
    assert commits == [0, 1, 1]
    assert found["ray_lloco_shard_encoder_seconds_bucket", RUN, "10.0"] == 2
    assert found["ray_lloco_shard_encoded_tokens_bucket", RUN, "1000.0"] == 2


def test_groups_beyond_a_number_share_a_series():
    metrics = RayMetrics(STORE, "night-3")
    tokens = {f"group-{number:03d}": 1 for number in range(MAX_GROUPS + 20)}
    metrics.committed([replace(RECORD, group_tokens=tokens)], 0.0)
    metrics.committed([replace(RECORD, group_tokens={"group-000": 1, "late": 2})], 0.0)
    metrics.night_published()
    found = wait_for("ray_lloco_nights_total", "night-3")
    series = {key[2]: value for key, value in found.items() if key[:2] == ("ray_lloco_encoded_tokens_total", "night-3")}
    assert len(series) == MAX_GROUPS + 1
    assert (series["group-000"], series[OTHER_GROUPS]) == (2, 20 + 2)


def test_counters_of_a_driver_outlive_it():
    import ray

    address = ray.get_runtime_context().gcs_address
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", LATE_DRIVER, address, STORE], cwd=root, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert wait_for("ray_lloco_nights_total", "night-2")["ray_lloco_nights_total", "night-2"] == 1
