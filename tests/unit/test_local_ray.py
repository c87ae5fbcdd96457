"""Ray's start on a busy machine: a failed one is cleared away and tried again, and in the end the error says why and where to look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lloco_core.config import ClusterConfig
from lloco_core.descendants import descendants, kill_descendants
from lloco_core.distributed import local_ray
from lloco_core.errors import ClusterError, LlocoError
from lloco_core.settings import settings

TIMED_OUT = "The current node timed out during startup. This could happen because some of the raylet failed to startup."
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(1, flush=True)
time.sleep(600)
"""


ORPHANING = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
"""


class FakeStart:
    """Starts a process with a child, as Ray does, and fails so many times."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures, self.started = failures, []

    def __call__(self, cluster: ClusterConfig) -> None:
        process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
        process.stdout.readline()
        self.started.append([psutil.Process(process.pid), *psutil.Process(process.pid).children()])
        if self.failures:
            raise self.failures.pop(0)

    def alive(self) -> list[int]:
        """Running processes of every start."""
        return [sum(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes) for processes in self.started]


@pytest.fixture
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeStart:
    before, fake = descendants(), FakeStart(list(request.param))
    monkeypatch.setattr(local_ray, "_start", fake)
    yield fake
    kill_descendants(but=before)


@pytest.mark.parametrize(
    "start", [[Exception(TIMED_OUT)], [Exception(TIMED_OUT), RuntimeError("Failed to connect to GCS")], [ConnectionError()]], indirect=True
)
def test_what_a_failed_start_left_is_gone_before_the_next_one(start: FakeStart) -> None:
    failures = len(start.failures)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:  # such as Prefect's server
        local_ray.start_local_ray(ClusterConfig())
        assert start.alive() == [0] * failures + [2]
        assert other.poll() is None
        other.kill()


def test_what_outlives_its_parent_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's node ends itself when its agents are late; they start on without it."""
    orphans: list[psutil.Process] = []

    def start(cluster: ClusterConfig) -> None:
        if orphans:
            return
        with subprocess.Popen([sys.executable, "-c", ORPHANING], stdout=subprocess.PIPE) as process:
            orphans.append(psutil.Process(int(process.stdout.readline())))
        raise Exception(TIMED_OUT)

    monkeypatch.setattr(local_ray, "_start", start)
    local_ray.start_local_ray(ClusterConfig())
    assert [one for one in orphans if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("start", [[Exception(TIMED_OUT)] * 9], indirect=True)
def test_the_error_says_why_and_where_the_logs_lie(start: FakeStart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    settings.cache_clear()
    (tmp_path / "ray" / "session_1" / "logs").mkdir(parents=True)
    (tmp_path / "ray" / "session_latest").symlink_to("session_1")
    try:
        with pytest.raises(ClusterError, match="timed out during startup") as caught:
            local_ray.start_local_ray(ClusterConfig())
    finally:
        settings.cache_clear()
    assert isinstance(caught.value, LlocoError)
    assert f"Its logs are in {tmp_path}/ray/session_1/logs. Run again" in str(caught.value)
    assert "RAY_ADDRESS" in str(caught.value)
    assert start.alive() == [0] * local_ray.STARTS


@pytest.mark.parametrize("start", [[ValueError("object_store_memory must be at least 78643200 bytes, got 3.")]], indirect=True)
def test_an_impossible_setting_is_not_tried_again(start: FakeStart) -> None:
    with pytest.raises(ClusterError, match="object_store_memory must be at least 78643200"):
        local_ray.start_local_ray(ClusterConfig())
    assert start.alive() == [0]


CODE = """
import ray, ray._private.services as services
from lloco_core.config import ClusterConfig
from lloco_core.descendants import descendants
from lloco_core.distributed import session

original, left = services.get_node, []

def times_out_once(*arguments):
    if not left:
        left.extend(descendants())
        raise Exception("The current node timed out during startup.")
    return original(*arguments)

services.get_node = times_out_once
with session.ray_session(ClusterConfig(object_store_mb=100)):
    alive = {process.name() for process in left if process.is_running() and process.status() != "zombie"}
    print(sorted(alive), len(left) > 1, ray.get(ray.remote(lambda: 7).remote()))
"""


@pytest.mark.real
@pytest.mark.timeout(400)
def test_ray_itself_starts_after_its_first_node_timed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=390, cwd=Path(__file__).parents[2])
    assert done.stdout.splitlines()[-1:] == ["[] True 7"], done.stdout + done.stderr
