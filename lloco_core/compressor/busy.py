"""How long the device was executing steps."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS_AHEAD = 2
"""Steps queued on a GPU before the caller waits: enough that it never idles, few enough that a caller is not far behind."""


class DeviceClock:
    """Adds up the device seconds of steps, and keeps the caller at most `STEPS_AHEAD` steps in front of a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._finished_seconds = 0.0
        self._queued: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time a step."""
        if self._device.type != "cuda":
            started = time.perf_counter()
            yield
            self._finished_seconds += time.perf_counter() - started
            return
        while (oldest := self._oldest_of_too_many()) is not None:
            oldest.synchronize()
            self._collect()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        yield
        end.record()
        with self._lock:
            self._queued.append((start, end))

    def busy_seconds(self) -> float:
        """Device seconds of the steps that have ended. Never waits, and may be called from any thread."""
        self._collect()
        return self._finished_seconds

    def _oldest_of_too_many(self) -> torch.cuda.Event | None:
        with self._lock:
            return self._queued[0][1] if len(self._queued) >= STEPS_AHEAD else None

    def _collect(self) -> None:
        with self._lock:
            while self._queued and self._queued[0][1].query():
                start, end = self._queued.popleft()
                self._finished_seconds += start.elapsed_time(end) / 1e3
