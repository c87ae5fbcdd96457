"""The stack on one machine: a Prefect server, the work pool, all deployments, and a process worker.

`make stack` runs it until interrupted. Everything Prefect writes lies below `--home`; the server listens on the loopback
address only. Then, in another terminal: `prefect deployment run nightly/nightly --watch`.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from urllib.error import URLError

ROOT = Path(__file__).resolve().parent.parent
POOL = "lloco"
START_SECONDS = 180


class LocalStack:
    """Context manager around the running stack."""

    def __init__(self, home: Path, port: int = 0) -> None:
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "lloco_core",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "DO_NOT_TRACK": "1",
            "LLOCO_HOME": str(ROOT),
            "PYTHONPATH": str(ROOT),
        }
        self._home = home
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> LocalStack:
        self._home.mkdir(parents=True, exist_ok=True)
        try:
            self._start("server", "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
            self._wait_until_healthy()
            self.prefect("work-pool", "create", POOL, "--type", "process", "--overwrite")
            self.prefect("work-pool", "set-concurrency-limit", POOL, "4")
            self.prefect("--no-prompt", "deploy", "--all")
            self._start("worker", "worker", "start", "--pool", POOL, "--name", "local")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def prefect(self, *arguments: str) -> str:
        """Run the Prefect command line against this stack; returns its output."""
        command = [sys.executable, "-m", "prefect", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"`prefect {' '.join(arguments)}` failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def wait(self) -> None:
        """Block until one of the processes ends."""
        while all(process.poll() is None for process in self._processes):
            time.sleep(1)
        raise RuntimeError(f"a process of the stack ended; see the logs in {self._home}")

    def stop(self) -> None:
        """Stop worker and server."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, name: str, *arguments: str) -> None:
        log = (self._home / f"{name}.log").open("wb")
        command = [sys.executable, "-m", "prefect", *arguments]
        self._processes.append(subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log))  # noqa: S603

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/api/health", timeout=2):  # noqa: S310 (the address is ours)
                    return
            except (URLError, ConnectionError, TimeoutError):
                time.sleep(0.5)
            if self._processes[0].poll() is not None:
                break
        raise RuntimeError(f"the Prefect server did not start within {START_SECONDS} s; see {self._home}/server.log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    """Run the stack until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("PREFECT_HOME", ".lloco/prefect")).absolute())
    parser.add_argument("--port", type=int, default=4200)
    options = parser.parse_args()
    with LocalStack(options.home, options.port) as stack:
        print(f"Prefect is at {stack.url}; logs are in {options.home}. Run a night with:")  # noqa: T201
        print(f"  PREFECT_API_URL={stack.url}/api {Path(sys.executable).with_name('prefect')} deployment run nightly/nightly --watch")  # noqa: T201
        try:
            stack.wait()
        except KeyboardInterrupt:
            print("stopping")  # noqa: T201


if __name__ == "__main__":
    main()
