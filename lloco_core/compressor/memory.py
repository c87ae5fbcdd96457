"""Keys and values of the documents under way.

One buffer per layer holds all documents; a document owns a contiguous region of positions from its admission to its end,
for its size is known beforehand. The buffers grow when a document finds no room, up to a limit planned from
the device's free memory.

Shape suffixes: N positions of the buffer, K key/value heads, D head dimension.
"""

from __future__ import annotations

import logging
import os
from bisect import insort
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from lloco_core.compressor.decoder import DecoderShape

logger = logging.getLogger(__name__)

CPU_SHARE = 0.25
"""Share of the machine's memory that keys and values may take on a CPU, where other processes live as well."""
MAX_ELEMENTS = 2**31 - 1
"""Attention kernels address a buffer with 32-bit element offsets."""


class KeyValueMemory:
    """Growing buffers `keys[layer]` and `values[layer]` [N, K, D] with regions handed out first-fit."""

    def __init__(self, shape: DecoderShape, dtype: torch.dtype, device: torch.device, limit: int) -> None:
        self.limit = limit
        self.capacity = 0
        self._free = Regions()
        empty = (0, shape.kv_heads, shape.head_dim)
        self.keys = [torch.empty(empty, dtype=dtype, device=device) for _ in range(shape.n_layers)]
        self.values = [torch.empty(empty, dtype=dtype, device=device) for _ in range(shape.n_layers)]

    def allocate(self, n_positions: int) -> int | None:
        """Start of a free region, or None where there is none."""
        start = self._free.take(n_positions)
        if start is None and self._grow(n_positions):
            start = self._free.take(n_positions)
        return start

    @property
    def is_empty(self) -> bool:
        """No region is in use."""
        return self._free.total == self.capacity

    def release(self, start: int, n_positions: int) -> None:
        """Give a region back."""
        self._free.give(start, n_positions)

    def _grow(self, n_positions: int) -> bool:
        wanted = min(self.limit, max(self.capacity + n_positions, 2 * self.capacity))
        if wanted <= self.capacity:
            return False
        try:
            for buffers in (self.keys, self.values):
                for layer, old in enumerate(buffers):
                    if len(old) < wanted:
                        buffers[layer] = _extended(old, wanted)
        except torch.OutOfMemoryError:
            logger.warning("no memory for keys and values of %s positions; staying at %s", f"{wanted:,}", f"{self.capacity:,}")
            self.limit = self.capacity
            self._cut_back()
            return False
        self._free.give(self.capacity, wanted - self.capacity)
        self.capacity = wanted
        return True

    def _cut_back(self) -> None:
        """Make all buffers equally long again, some of which had grown: FlashAttention takes no keys beside fewer values."""
        for buffers in (self.keys, self.values):
            for layer, grown in enumerate(buffers):
                if len(grown) > self.capacity:
                    buffers[layer] = grown[: self.capacity].clone()  # of a size that was just freed


def _extended(old_NKD: torch.Tensor, n_positions: int) -> torch.Tensor:
    new_NKD = old_NKD.new_empty(n_positions, *old_NKD.shape[1:])
    new_NKD[: len(old_NKD)] = old_NKD
    return new_NKD


class Regions:
    """Free stretches of a line of positions, sorted, neighbours joined."""

    def __init__(self) -> None:
        self._free: list[tuple[int, int]] = []  # start, end

    @property
    def total(self) -> int:
        """Free positions."""
        return sum(end - start for start, end in self._free)

    def take(self, length: int) -> int | None:
        """The first stretch that is long enough."""
        for index, (start, end) in enumerate(self._free):
            if end - start >= length:
                self._free[index : index + 1] = [(start + length, end)] if start + length < end else []
                return start
        return None

    def give(self, start: int, length: int) -> None:
        """Free a stretch."""
        insort(self._free, (start, start + length))
        joined: list[tuple[int, int]] = []
        for begin, end in self._free:
            if joined and joined[-1][1] == begin:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((begin, end))
        self._free = joined


def plan_positions(shape: DecoderShape, dtype: torch.dtype, device: torch.device, step_tokens: int, fraction: float) -> int:
    """Positions whose keys and values fit beside a step's activations into `fraction` of the free memory."""
    per_position = 2 * shape.n_layers * shape.kv_heads * shape.head_dim * dtype.itemsize
    free = fraction * free_bytes(device) - step_tokens * shape.activation_width * dtype.itemsize
    return max(0, min(int(free) // per_position, MAX_ELEMENTS // (shape.kv_heads * shape.head_dim)))


def free_bytes(device: torch.device) -> float:
    """Bytes that may still be allocated on a device; on a CPU a share of the machine's memory."""
    if device.type != "cuda":
        return CPU_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + reusable
