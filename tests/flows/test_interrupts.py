"""Real nights and commands, ended from outside at several points: one line, soon, nothing left, and the same command goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lloco_core.store.read import open_night
from lloco_core.store.tables import Store

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
STAGE_SECONDS = 400
END_SECONDS = 10
LINE = r"\ninterrupted by (Ctrl-C|SIGTERM): .* are kept; run the same command again to go on\n$"


class Command:
    """`python -m module options` in a process group of its own, as a shell starts it, without a Prefect server."""

    def __init__(self, log: Path, module: str, *options: str) -> None:
        surroundings = {name: value for name, value in os.environ.items() if name not in ("PREFECT_API_URL", "RAY_ADDRESS")}
        own = {
            "PREFECT_HOME": str(log.parent / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
            "PYTHONPATH": str(ROOT),
        }
        self.log, self.seen = log, set()
        with log.open("wb") as file:
            command = [sys.executable, "-m", module, *options]
            self.process = subprocess.Popen(command, cwd=ROOT, env=surroundings | own, stdout=file, stderr=file, start_new_session=True)

    def wait_for(self, pattern: str, seconds_more: float) -> None:
        """Wait until its log says so, and so many seconds more."""
        deadline = time.monotonic() + STAGE_SECONDS
        while not re.search(pattern, self.log.read_text(errors="replace")):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)
        time.sleep(seconds_more)
        self.seen = set(psutil.Process(self.process.pid).children(recursive=True))

    def end(self, signum: signal.Signals) -> tuple[int, str]:
        """Ctrl-C goes to the group, SIGTERM to the process; returns the exit code and what was printed from then on."""
        printed = self.log.stat().st_size
        (os.killpg if signum == signal.SIGINT else os.kill)(self.process.pid, signum)
        code = self.process.wait(END_SECONDS)
        _, running = psutil.wait_procs(self.seen, timeout=5)
        assert [one for one in running if one.status() != psutil.STATUS_ZOMBIE] == []
        return code, self.log.read_bytes()[printed:].decode()


def night(folder: Path, corpus: Path) -> Command:
    options = {"corpus.uri": corpus, "store.uri": folder / "store", "store.shard-objects": 3, "store.commit-every": 1, "closing.count": 2}
    options |= {"cluster.object-store-mb": 200, "questions.per-document": 3, "answer.max-new-tokens": 8, "corpus.group-by": "folder"}
    options |= {"finetune.max-steps": 4, "finetune.global-batch": 4, "finetune.micro-batch": 4, "finetune.gradient-checkpointing": "false"}
    return Command(folder / "log", "flows.nightly", *(f"--{name}={value}" for name, value in options.items()))


def test_a_night_that_is_ended_again_and_again_is_published_in_the_end(tmp_path: Path, corpus: Path):
    for pattern, seconds_more, signum in (
        ("Task run 'plan-.* Finished", 10, signal.SIGINT),  # encoding
        ("Task run 'prepare-examples-.* Finished", 15, signal.SIGTERM),  # training
        ("Task run 'publish-adapters-.* Finished", 2, signal.SIGINT),  # closing questions
    ):
        command = night(tmp_path, corpus)
        command.wait_for(pattern, seconds_more)
        code, printed = command.end(signum)
        assert code == 128 + signum, printed
        assert re.fullmatch(LINE, printed), printed
        assert "Traceback" not in command.log.read_text()
    command = night(tmp_path, corpus)
    assert command.process.wait(STAGE_SECONDS) == 0, command.log.read_text()
    stored = open_night(str(tmp_path / "store"))
    assert stored.groups() == {"statements": 6, "types": 5}
    shards = Store(str(tmp_path / "store")).dataset("ledger").to_table(filter="entry = 'shard'")["shard_id"].to_pylist()
    assert len(shards) == len(set(shards)) == 4
    assert "registered" in command.log.read_text() or "unchanged" in command.log.read_text()


def test_other_commands_end_so_too(tmp_path: Path, corpus: Path):
    store = f"--store.uri={tmp_path / 'store'}"
    for module, options in (("flows.plan_corpus", [f"--corpus.uri={corpus}", store]), ("flows.maintain_store", [store])):
        command = Command(tmp_path / "log", module, *options)
        command.wait_for("Starting temporary server", 2)
        code, printed = command.end(signal.SIGINT)
        assert code == 130
        assert re.fullmatch(r"\ninterrupted by Ctrl-C: .*; run the same command again.*\n", printed), printed
