"""The files of a training text: which there are, and each as a stream of bytes, unpacked piece by piece."""

from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.objects import Objects, open_at, open_objects

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")

WINDOW_BYTES = 2**31
"""Largest zstd window that is accepted (`zstd --long=31`)."""

PIECE_BYTES = 16 * 2**10
"""Packed bytes unpacked at a time; what becomes of them is held in memory, for text about five times as much."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """One file, local or on S3."""

    objects: Objects
    key: str
    etag: str
    size: int

    @property
    def uri(self) -> str:
        """Its canonical URI."""
        return self.objects.uri(self.key)


def find_files(uris: Sequence[str]) -> list[TextFile]:
    """The files that URIs name, folders and prefixes replaced by what lies below them, in a fixed order.

    Raises:
        ConfigurationError: a URI names no file of a known format, or two name the same.
    """
    found: list[TextFile] = []
    for uri in uris:
        here = [_file(uri)] if uri.endswith(SUFFIXES) else _files_below(uri)
        if not here:
            raise ConfigurationError(f"there is no {', '.join(SUFFIXES)} below {uri}; correct text.files")
        found += here
    times = Counter(file.uri for file in found)
    if doubled := [uri for uri in times if times[uri] > 1]:
        raise ConfigurationError(f"text.files names {doubled[0]} more than once; name every file once")
    return found


def _file(uri: str) -> TextFile:
    objects, key = open_at(uri)
    info = objects.stat(key)
    if info is None:
        raise StorageError(f"{uri} does not exist; correct text.files")
    return TextFile(objects, key, info.etag, info.size)


def _files_below(uri: str) -> list[TextFile]:
    objects = open_objects(uri)
    return [TextFile(objects, info.key, info.etag, info.size) for info in objects.list() if info.key.endswith(SUFFIXES)]


@contextmanager
def open_unpacked(file: TextFile) -> Iterator[BinaryIO]:
    """The bytes of a file; damage of the packing is a `StorageError` that names it."""
    try:
        with ExitStack() as stack:
            stream: Any = stack.enter_context(file.objects.open(file.key))
            if file.key.endswith(".gz"):
                stream = stack.enter_context(gzip.open(stream))
            elif file.key.endswith(".zst"):
                stream = stack.enter_context(io.BufferedReader(ZstdStream(stream), 2**20))
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error, ZstdDamaged) as error:
        raise StorageError(f"{file.uri} cannot be unpacked: {error}; fetch the file again") from error


class ZstdDamaged(Exception):
    """The data is no zstd, damaged, or ends within a frame."""


class ZstdStream(io.RawIOBase):
    """Frames of zstd, one after another. `ZstdDecompressor.stream_reader` takes a file that ends early for a whole one."""

    def __init__(self, packed: BinaryIO) -> None:
        from zstandard import ZstdDecompressor

        self._packed = packed
        self._decompressor = ZstdDecompressor(max_window_size=WINDOW_BYTES)
        self._frame: Any = None
        self._next = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with unpacked bytes; 0 at the end of the last frame."""
        while not self._ready:
            piece = self._next or self._packed.read(PIECE_BYTES)
            if not piece:
                if self._frame is not None:
                    raise ZstdDamaged("it ends within a zstd frame")
                return 0
            self._ready = memoryview(self._unpack(piece))
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _unpack(self, piece: bytes) -> bytes:
        from zstandard import ZstdError

        self._frame = self._frame or self._decompressor.decompressobj()
        try:
            unpacked = self._frame.decompress(piece)
        except ZstdError as error:
            raise ZstdDamaged(str(error)) from error
        self._next = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame = None
        return unpacked
