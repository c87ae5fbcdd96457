"""Who may use an encoder: any number of shards together, or one document alone.

When a worker dies, everything that it was encoding is suspect. A document that has killed workers before is encoded alone, so
that another death leaves one suspect. Threads of one worker share one `EncoderTurns`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class EncoderTurns:
    """A lock that is held shared or alone; who waits to be alone goes before those who would share."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._n_sharing = 0
        self._n_waiting = 0
        self._is_alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it beside other sharers."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone and not self._n_waiting)
            self._n_sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it while nobody else does."""
        with self._changed:
            self._n_waiting += 1
            self._changed.wait_for(lambda: not self._is_alone and not self._n_sharing)
            self._n_waiting -= 1
            self._is_alone = True
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()
