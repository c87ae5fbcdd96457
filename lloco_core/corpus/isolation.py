"""Parsing in a child process with a time and a memory limit, so that a document can kill, hang, or bloat its parser and nothing else.

Every worker process has at most one child, started by the first object and kept. On a limit or a death the child is killed and the
object tried once more in a new one; the second failure is its reason. All formats go this way: even for plain text no bound holds, as
normalising a run of combining marks takes time quadratic in its length. `reading.py` calls `isolated_parser`.

Memory is the resident set, looked at while the parser works. RLIMIT_AS counts address space, which says
little: a child that read one small Parquet file has 95 MB resident and 1.5 GB reserved on 2 cores, more on more.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import cache
from multiprocessing import Pipe
from threading import Lock
from typing import Any

import psutil

from lloco_core.config import CorpusConfig
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.errors import ParserStartError

START_SECONDS = 120
"""A child imports Python modules before it is ready: under a second, far more on a busy network file system."""
WATCH_SECONDS = 0.05
_MB = 2**20
_MAIN = "import sys; sys.path[:] = sys.argv[3:]; from lloco_core.corpus.parser_process import serve; serve(*map(int, sys.argv[1:3]))"


class IsolatedParser:
    """Calls functions in a child process that is started when needed. Threads take turns."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._child: _Child | None = None

    def call(self, function: Callable[..., Iterable[Any]], *arguments: Any, limits: CorpusConfig) -> list[Any]:
        """What `function` (importable by name) yields for the arguments.

        Raises:
            Rejected: `parser_timeout`, `parser_memory`, or `parser_killed`, also in a new child.
            ParserStartError: no child can be started.
        """
        with self._turn:
            try:
                return self._try(function, arguments, limits)
            except Rejected:
                return self._try(function, arguments, limits)

    def close(self) -> None:
        """End the child."""
        if self._child:
            self._child.kill()
            self._child = None

    def _try(self, function: Callable[..., Iterable[Any]], arguments: tuple[Any, ...], limits: CorpusConfig) -> list[Any]:
        self._child = self._child or _Child()
        try:
            return self._child.call(function, arguments, limits)
        except BaseException:  # an interrupted call would leave its answer to the next one
            self.close()
            raise


class _Child:
    """A running parser process and the pipes to it."""

    def __init__(self) -> None:
        self._requests, requests = Pipe()
        lifeline, self._lifeline = Pipe(duplex=False)
        descriptors = (requests.fileno(), lifeline.fileno())
        command = [sys.executable, "-c", _MAIN, *map(str, descriptors), *sys.path]
        # A session of its own: an interrupt from the terminal goes to the worker alone.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            command, pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        requests.close()
        lifeline.close()
        self._wait_until_ready()

    def call(self, function: Callable[..., Iterable[Any]], arguments: tuple[Any, ...], limits: CorpusConfig) -> list[Any]:
        deadline = time.monotonic() + limits.parse_seconds
        try:
            self._requests.send((function, arguments))
            while not self._requests.poll(WATCH_SECONDS):
                self._refuse_over_limit(deadline, limits)
            return self._requests.recv()
        except (EOFError, ConnectionError) as error:
            message = f"its parser process ended with {self._how_it_ended()}, twice; check that the file opens in its own program"
            raise Rejected(Reason.PARSER_KILLED, f"{message}, or exclude it") from error

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._lifeline.close()

    def _wait_until_ready(self) -> None:
        try:
            if self._requests.poll(START_SECONDS):
                self._requests.recv()
                return
            found = f"is not ready after {START_SECONDS} s"
        except (EOFError, ConnectionError):
            found = f"ended with {self._how_it_ended()} before its first request"
        self.kill()
        raise ParserStartError(f"the parser process {found}; its own message is in the worker's log (stderr); then run again")

    def _refuse_over_limit(self, deadline: float, limits: CorpusConfig) -> None:
        if time.monotonic() > deadline:
            message = f"parsing takes longer than corpus.parse_seconds {limits.parse_seconds:g}, twice; split the document, raise the limit"
            raise Rejected(Reason.PARSER_TIMEOUT, f"{message}, or exclude it")
        try:
            used = psutil.Process(self._process.pid).memory_info().rss // _MB
        except psutil.Error:  # it just ended: the pipe tells
            return
        if used > limits.parse_memory_mb:
            message = f"parsing takes {used} MB of memory, more than corpus.parse_memory_mb {limits.parse_memory_mb}, twice"
            raise Rejected(Reason.PARSER_MEMORY, f"{message}; split the document, raise the limit, or exclude it")

    def _how_it_ended(self) -> str:
        code = self._process.wait(START_SECONDS)
        return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.Signals(-code).name})"


@cache
def isolated_parser() -> IsolatedParser:
    """The parser of this process; its child ends when this process does."""
    return IsolatedParser()


os.register_at_fork(after_in_child=isolated_parser.cache_clear)  # a forked process must not read its parent's answers
