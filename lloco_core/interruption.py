"""How a command ends when it is told to: Ctrl-C, SIGTERM, or a closed terminal.

The first signal prints the one line that there is to say, and unwinds the main thread as a KeyboardInterrupt: leases are released,
clusters left. What takes longer than `UNWIND_SECONDS`, or a second signal, is cut off: the processes below this one are killed and it
ends. That is as safe as `kill -9` (docs/recovery.md). After the line nothing is printed any more: what libraries say about
connections that break while everything ends is noise.

Python runs a handler only between two instructions of the main thread, which may be deep in a query or a matrix product. So the
signals are also written to a pipe (`signal.set_wakeup_fd`), where a thread reads them at once, whatever handler a library has put in
the place of this one.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType

from lloco_core.descendants import kill_descendants

UNWIND_SECONDS = 4.0
REPEAT_SECONDS = 1.0
"""A signal that comes again within this time is the same one: `timeout` and others send it to the process and to its group."""

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "the end of its terminal (SIGHUP)"}
NOTHING_BEGUN = "nothing was begun; run the same command again"


class Interruption:
    """Listens to the signals of this process; there is one (`interruption`)."""

    def __init__(self) -> None:
        self.unwinds = False
        """Whether there is something to leave in order; otherwise a signal ends the process at once."""
        self.kept = NOTHING_BEGUN
        self.signum = 0
        """The signal that ends this process, once it came."""
        self._unwinding = False
        self._announcing = threading.RLock()  # the handler may interrupt itself
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def listen(self) -> None:
        """Take over the signals that are not ignored (`nohup` and background jobs ignore some). Call it in the main thread."""
        for signum in NAMES:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self._unwind)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=_forget)
        threading.Thread(target=self._watch, name="lloco-interruption", daemon=True).start()

    def end(self) -> None:
        """End this process and all below it now, with the exit code of the signal."""
        kill_descendants()
        os._exit(128 + self.signum)

    def _unwind(self, signum: int, _frame: FrameType | None) -> None:
        self._announce(signum)
        if not self.unwinds:
            self.end()
        if not self._unwinding:
            self._unwinding = True
            raise KeyboardInterrupt

    def _watch(self) -> None:
        end_at = again_at = float("inf")
        while True:
            left = max(0.0, end_at - time.monotonic()) if end_at != float("inf") else None
            if not select.select([self._reading], [], [], left)[0]:
                self.end()
            for signum in os.read(self._reading, 64):
                if signum not in NAMES:
                    continue
                self._announce(signum)
                if not self.unwinds or time.monotonic() > again_at:
                    self.end()
                if end_at == float("inf"):
                    again_at, end_at = time.monotonic() + REPEAT_SECONDS, time.monotonic() + UNWIND_SECONDS

    def _announce(self, signum: int) -> None:
        """Print the line and silence what follows, once."""
        with self._announcing:
            if self.signum:
                return
            self.signum = signum
            with suppress(OSError):  # a terminal that is gone
                os.write(2, f"\ninterrupted by {NAMES[signal.Signals(signum)]}: {self.kept}\n".encode())
            silence = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(silence, stream)


@cache
def interruption() -> Interruption:
    """That of this process; it listens from the first call on, which must come from the main thread."""
    made = Interruption()
    made.listen()
    return made


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """A block that a signal unwinds before the process ends.

    Args:
        kept: what the line says: what is kept, and how to go on.
    """
    here = interruption()
    here.kept, here.unwinds = kept, True
    try:
        yield
    finally:
        here.unwinds = False
        if here.signum:
            here.end()


def _forget() -> None:
    """A forked child answers signals as it would without this module: it must not write to the pipe of its parent."""
    signal.set_wakeup_fd(-1)
    for signum in NAMES:
        if signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
