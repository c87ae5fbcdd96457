"""The child's side of `isolation.py`: a process that calls what it is sent, one request after the other, until its worker is gone.

Imports stay few: the process is started in every reading worker. Parser libraries are imported by the first object that needs them.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
from multiprocessing.connection import Connection


def serve(requests_fd: int, lifeline_fd: int) -> None:
    """Answer (function, arguments) with the list of what the function yields."""
    _end_with_worker(lifeline_fd)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash would leave a file as large as the parser's memory
    requests = Connection(requests_fd)
    requests.send("ready")
    while True:
        try:
            function, arguments = requests.recv()
        except EOFError:
            return
        requests.send(list(function(*arguments)))


def _end_with_worker(lifeline_fd: int) -> None:
    """Let the kernel end this process when the other end of the pipe is closed, even inside a parser that never returns.

    Not PR_SET_PDEATHSIG: it follows the thread that started this process, not the worker.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, fcntl.fcntl(lifeline_fd, fcntl.F_GETFL) | os.O_ASYNC)
    lifeline = select.poll()
    lifeline.register(lifeline_fd)
    if lifeline.poll(0):  # nothing is ever written to it: the worker died before the signal was armed
        raise SystemExit
