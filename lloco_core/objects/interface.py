"""What an object store is to this package: the interface, without an implementation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One listed object. `key` is relative to the root it was listed under."""

    key: str
    etag: str
    size: int
    modified: float | None = None
    """Seconds since the epoch; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A write that was begun and never ended: a temporary file, or a multipart upload."""

    key: str
    upload: str
    """Name of the upload of this key; of a file, its own."""
    modified: float
    """Seconds since the epoch."""


class Objects(Protocol):
    """Access to the objects below one root URI. Every failure is a `StorageError` that names the URI."""

    root: str

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the objects whose key starts with `prefix`, sorted by key."""

    def uri(self, key: str) -> str:
        """The canonical URI of an object."""

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one object without reading it; None when it is missing."""

    def get(self, key: str) -> bytes:
        """Read an object; `StorageError` when it is missing."""

    def open(self, key: str) -> BinaryIO:
        """Open an object to be read piece by piece, in bounded memory; seekable. `StorageError` when it is missing."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object, replacing what is there."""

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless it exists; False when it does."""

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens when it is missing."""

    def unfinished(self) -> Iterator[Unfinished]:
        """List writes that were begun and never ended: what `list` does not show."""

    def abandon(self, write: Unfinished) -> None:
        """Drop an unfinished write; nothing happens when it is gone."""
