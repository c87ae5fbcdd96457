"""A stored object as a seekable file that fetches the range it is asked for. Knows nothing of the store behind it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

PIECE_BYTES = 8 * 2**20
"""Bytes per request of a buffered reader: long enough that the answer outweighs the round trip, short enough to be held."""


class RangedObject(io.RawIOBase):
    """Reads through `read_range(start, stop)`; wrap it in `io.BufferedReader`."""

    def __init__(self, read_range: Callable[[int, int], bytes], size: int) -> None:
        self._read_range = read_range
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position; nothing is fetched."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or as much of it as the object still has."""
        view = memoryview(buffer).cast("B")
        stop = min(self._size, self._position + len(view))
        if stop <= self._position:
            return 0
        data = self._read_range(self._position, stop)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
