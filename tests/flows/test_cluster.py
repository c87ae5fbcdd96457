"""The same ingest on a running Ray cluster that RAY_ADDRESS names, instead of one that the driver starts; into a store in 8 bits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lloco_core.compressor import load_encoder
from lloco_core.store.read import Night, open_night
from tests.flows.conftest import small_night

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

DRIVER = """
import sys
from lloco_core.config import NightlyConfig
from lloco_core.distributed.session import describe_cluster, ray_session
from lloco_core.distributed.ingest import compress_and_commit, open_ingest, plan_ingest, publish
from lloco_core.settings import settings
from lloco_core.store.index import build_indices

print(describe_cluster(settings().ray_address))
config = NightlyConfig.model_validate_json(sys.argv[1])
with ray_session(config.cluster), open_ingest(config, "on-a-cluster") as ingest:
    compress_and_commit(ingest, plan_ingest(ingest), print)
    build_indices(ingest.store)
    publish(ingest)
"""


@pytest.fixture
def cluster() -> Iterator[dict[str, str]]:
    """A head node on the loopback address, and the environment of a driver that uses it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # socket paths are limited
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--include-dashboard=false", "--num-cpus=4",
        f"--port={port}", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000", f"--temp-dir={folder}",
    ]  # fmt: skip
    head = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_for(port, head)
        yield environment | {"RAY_ADDRESS": f"127.0.0.1:{port}"}
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        try:
            head.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, head: subprocess.Popen) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and head.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError("the Ray head node did not start")


def test_an_ingest_runs_on_the_cluster_of_ray_address(cluster: dict[str, str], corpus: Path, tmp_path: Path):
    config = small_night(str(corpus), str(tmp_path / "store"))
    config["store"]["vectors"] = "float8_e4m3"
    done = subprocess.run([sys.executable, "-c", DRIVER, json.dumps(config)], env=cluster, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "1 nodes, 4 CPUs, 0 GPUs" in done.stdout
    assert "committed 4/4 shards, 11 documents" in done.stdout
    night = open_night(config["store"]["uri"])
    assert night.groups() == {"statements": 6, "types": 5}
    assert_close_to_the_exact_vectors(night)


def assert_close_to_the_exact_vectors(night: Night) -> None:
    encoder = load_encoder("reference")
    document = min(night.documents(), key=lambda document: document.n_chars)
    exact = encoder.encode([encoder.tokenize(night.text(document.doc_id))[0]])[0].numpy()
    stored = night.summaries(document.doc_id)
    assert stored.dtype == np.float16
    assert 0 < np.linalg.norm(stored - exact) / np.linalg.norm(exact) < 0.04


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"RAY_ADDRESS": f"127.0.0.1:{port}", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    lloco = str(Path(sys.executable).with_name("lloco"))
    done = subprocess.run([lloco, "doctor"], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stdout
    assert "check RAY_ADDRESS" in done.stdout
