"""How long the device was executing steps."""

from __future__ import annotations

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

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time a step."""
        if self._device.type != "cuda":
            started = time.perf_counter()
            yield
            self._finished_seconds += time.perf_counter() - started
            return
        while len(self._queued) >= STEPS_AHEAD:
            self._settle()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        yield
        end.record()
        self._queued.append((start, end))

    def busy_seconds(self) -> float:
        """Device seconds of all steps so far; waits for those under way."""
        while self._queued:
            self._settle()
        return self._finished_seconds

    def _settle(self) -> None:
        start, end = self._queued.popleft()
        end.synchronize()
        self._finished_seconds += start.elapsed_time(end) / 1e3
