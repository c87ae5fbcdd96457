"""What a signal does to a command: one line, the signal's exit code, no process left, whatever the command was doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
LINE = "interrupted by {}: the work is kept; run the same command again to go on"
END_SECONDS = 60

SIGNALS = [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143), (signal.SIGHUP, "the end of its terminal (SIGHUP)", 129)]

SLEEP = "time.sleep(600)"
WORK = {
    "sleeping": SLEEP,
    "deep in a library": "hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2**31 - 1)",  # no Python instruction for many minutes
    "waiting for a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "swallowing interrupts": """
        while True:
            try:
                time.sleep(600)
            except BaseException as error:
                print('swallowed', repr(error), file=sys.stderr)
    """,
    "cleaning up for ever": """
        try:
            time.sleep(600)
        finally:
            print('this takes long', file=sys.stderr); time.sleep(600)
    """,
    "failing while it ends": """
        try:
            time.sleep(600)
        finally:
            raise ConnectionError('the server is gone')
    """,
    "with a handler of a library": """
        signal.signal(signal.SIGINT, lambda *_: print('one of a library'))
        signal.signal(signal.SIGTERM, lambda *_: print('one of a library'))
        signal.signal(signal.SIGHUP, lambda *_: print('one of a library'))
        time.sleep(600)
    """,
}


@contextmanager
def running(body: str, before: str = "", ignored: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """A command with a child that has a child; it is up."""
    code = f"""
import hashlib, logging, os, signal, subprocess, sys, threading, time
from lloco_core import interruption
from lloco_core.interruption import interruptible
{textwrap.dedent(before)}
grandchild = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
child = f"import subprocess, sys, time; {{grandchild}}; print(1, flush=True); time.sleep(600)"
with interruptible("the work is kept; run the same command again to go on"):
    process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, start_new_session=True)
    process.stdout.readline()
    print("up", flush=True)
{textwrap.indent(textwrap.dedent(body).strip(), "    ")}
"""

    def dispositions() -> None:
        for signum, _, _ in SIGNALS:
            signal.signal(signum, signal.SIG_IGN if signum in ignored else signal.SIG_DFL)

    command = [sys.executable, "-c", code]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=dispositions, start_new_session=True
    )
    below: list[psutil.Process] = []
    try:
        assert process.stdout.readline() == "up\n", process.stderr.read()
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) >= 2
        process.below = below
        yield process
    finally:
        for one in [process, *below]:
            if one.is_running() if isinstance(one, psutil.Process) else one.poll() is None:
                one.kill()
        process.communicate()


def left(process: subprocess.Popen[str]) -> list[psutil.Process]:
    psutil.wait_procs(process.below, timeout=10)
    return [one for one in process.below if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


CASES = [(work, *SIGNALS[0]) for work in WORK] + [
    (work, *case) for case in SIGNALS[1:] for work in ("sleeping", "with a handler of a library")
]


@pytest.mark.parametrize(("work", "signum", "name", "code"), CASES, ids=[f"{work}, {name}" for work, _, name, _ in CASES])
def test_one_line_the_code_of_the_signal_and_no_process_left(work: str, signum: int, name: str, code: int) -> None:
    with running(WORK[work], before="interruption.UNWIND_SECONDS = 0.3") as process:
        process.send_signal(signum)
        out, err = process.communicate(timeout=END_SECONDS)
        assert process.returncode == code
        assert err.strip() == LINE.format(name)
        assert out in ("", "one of a library\n" if "library" in work else "")  # its handler may come before the line
        assert left(process) == []


def test_what_was_begun_is_left_in_order(tmp_path: Path) -> None:
    body = f"""
        try:
            time.sleep(600)
        finally:
            open({str(tmp_path / "left")!r}, "w").write("in order")
    """
    with running(body, before="interruption.UNWIND_SECONDS = 600") as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=END_SECONDS)
        assert process.returncode == 130
        assert (tmp_path / "left").read_text() == "in order"


def test_a_second_signal_ends_it_at_once() -> None:
    body = """
        try:
            time.sleep(600)
        finally:
            time.sleep(2 * interruption.REPEAT_SECONDS)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(600)
    """
    with running(body, before="interruption.UNWIND_SECONDS = 600; interruption.REPEAT_SECONDS = 0.2") as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=END_SECONDS)
        assert (process.returncode, err.strip()) == (130, LINE.format("Ctrl-C"))
        assert left(process) == []


def test_a_signal_that_is_sent_twice_is_one(tmp_path: Path) -> None:
    """`timeout` and others send it to the process and to its group."""
    body = f"""
        try:
            print("at work", flush=True)
            time.sleep(600)
        finally:
            time.sleep(1); open({str(tmp_path / "left")!r}, "w").write("in order")
    """
    with running(body, before="interruption.UNWIND_SECONDS = interruption.REPEAT_SECONDS = 600") as process:
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGTERM)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=END_SECONDS)
        assert process.returncode == 143
        assert (tmp_path / "left").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_signals_that_the_caller_ignores_stay_ignored(signum: int) -> None:
    """`nohup`, and jobs that a script puts into the background."""
    with running("time.sleep(2); print('done', flush=True)", ignored=(signum,)) as process:
        process.send_signal(signum)
        assert process.stdout.readline() == "done\n"


def test_a_forked_child_does_not_end_its_parent() -> None:
    body = """
        child = os.fork()
        if not child:
            signal.pause()
        time.sleep(0.5)
        os.kill(child, signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        time.sleep(1)
        print("goes on", flush=True)
    """
    with running(body) as process:
        assert process.stdout.readline() == "-15\n"
        assert process.stdout.readline() == "goes on\n"


def test_a_signal_while_a_command_is_imported() -> None:
    code = "import sys, time; sys.argv[0] = '-m'; import flows; print('up', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, err.strip()) == (143, "interrupted by SIGTERM: nothing was begun; run the same command again")


def test_a_worker_that_imports_the_flows_keeps_its_own_handlers() -> None:
    code = "import signal, flows; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
