"""What `nvidia-smi` saw of a card while something ran: clock, power, and what held the clock down."""

from __future__ import annotations

import statistics
import subprocess
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from types import TracebackType

FIELDS = "clocks.sm,power.draw,temperature.gpu,clocks_event_reasons.active"
INTERVAL_MS = 250
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal, software",
    0x40: "thermal, hardware",
    0x80: "power brake",
}
"""Bits of NVML's clock event reasons that slow a busy card."""


class CardWatch:
    """Sample a card four times a second between entering and leaving. Without `nvidia-smi` there is nothing to see."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._process: subprocess.Popen[str] | None = None
        self.seen: dict[str, Any] | None = None

    def __enter__(self) -> CardWatch:
        uuid = f"GPU-{torch.cuda.get_device_properties(self._device).uuid}"
        command = ["nvidia-smi", "-i", uuid, f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits", f"--loop-ms={INTERVAL_MS}"]
        try:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            self._process = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is None:
            return
        self._process.terminate()
        output, _ = self._process.communicate(timeout=30)
        self.seen = summarize(output)


def summarize(output: str) -> dict[str, Any] | None:
    """Medians of the samples, and the share of them in which each reason was active."""
    samples = [line.split(", ") for line in output.splitlines() if line.count(", ") == FIELDS.count(",")]
    if not samples:
        return None
    clocks, power, heat = (statistics.median(float(sample[column]) for sample in samples) for column in range(3))
    active = [int(sample[3], 16) for sample in samples]
    held = {name: sum(bool(reasons & bit) for reasons in active) / len(samples) for bit, name in REASONS.items()}
    return {
        "sm_mhz": clocks,
        "power_w": power,
        "celsius": heat,
        "clock_held_down": {name: round(share, 3) for name, share in held.items() if share},
    }
