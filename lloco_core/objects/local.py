"""Objects as files below a folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote_to_bytes, urlsplit

from lloco_core.errors import StorageError
from lloco_core.objects.etags import local_etag
from lloco_core.objects.interface import ObjectInfo, Unfinished
from lloco_core.objects.keys import key_below

WRITING = ".writing-"
"""Prefix of the temporary files that atomic writes rename; never listed."""


def local_path(root: str) -> Path:
    """The absolute path of a folder given as a path or a `file://` URI."""
    path = root
    if root.lower().startswith("file://"):
        path = os.fsdecode(unquote_to_bytes(urlsplit(root.replace("#", "%23").replace("?", "%3F")).path))
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - `..` by its letters, as Lance and S3 tools read it


class LocalObjects:
    """Objects as files below a folder. Writes are atomic: a temporary file, then a rename or a link."""

    def __init__(self, root: str) -> None:
        self.path = local_path(root)
        self.root = str(self.path)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the files below a key prefix, sorted by key."""
        if not self.path.is_dir():
            raise StorageError(f"folder {self.root} does not exist; check the path")
        for key in sorted(self._keys(prefix.rpartition("/")[0], is_temporary=False)):
            if key.startswith(prefix):
                # a file that cannot be looked at is listed: reading it gives the reason and quarantines it
                yield self.stat(key) or ObjectInfo(key, "unreadable", 0)

    def _keys(self, folder: str, *, is_temporary: bool) -> Iterator[str]:
        for path, _, names in os.walk(self._path(folder), onerror=self._refuse_unreadable_folder):
            for name in names:
                if name.startswith(WRITING) == is_temporary:
                    yield Path(path, name).relative_to(self.path).as_posix()

    def _refuse_unreadable_folder(self, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return  # a prefix below which nothing was written yet
        raise StorageError(f"folder {error.filename} cannot be listed: {error.strerror}; check its permissions") from error

    def _path(self, key: str) -> Path:
        return self.path / key_below(self.root, key.lstrip("/"))

    def uri(self, key: str) -> str:
        """The `file://` URI of a key."""
        return "file://" + quote(os.fsencode(self.path / key), safe="/")  # bytes: a file name need not be UTF-8

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one file; None when it is missing."""
        try:
            status = self._path(key).stat()
        except OSError:
            return None
        return ObjectInfo(key, local_etag(status), status.st_size, status.st_mtime)

    def get(self, key: str) -> bytes:
        """Read a file."""
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {self.path / key}: {error.strerror}; check that it exists and is readable") from error

    def open(self, key: str) -> BinaryIO:
        """Open a file to be read piece by piece."""
        try:
            return self._path(key).open("rb")
        except OSError as error:
            raise StorageError(f"cannot read {self.path / key}: {error.strerror}; check that it exists and is readable") from error

    def put(self, key: str, data: bytes) -> None:
        """Write a file, replacing what is there."""
        target = self._path(key)
        with _writing(target, data) as temporary:
            temporary.replace(target)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file unless it exists; False when it does."""
        target = self._path(key)
        with _writing(target, data) as temporary:
            try:
                target.hardlink_to(temporary)  # fails when the name exists: exactly one caller wins
            except FileExistsError:
                return False
        return True

    def delete(self, key: str) -> None:
        """Delete a file if it is there."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot delete {self.path / key}: {error.strerror}; check permissions") from error

    def unfinished(self) -> Iterator[Unfinished]:
        """List temporary files."""
        for key in sorted(self._keys("", is_temporary=True)):
            if found := self.stat(key):
                yield Unfinished(key, key, found.modified or 0.0)

    def abandon(self, write: Unfinished) -> None:
        """Delete a temporary file if it is there."""
        self.delete(write.key)


@contextmanager
def _writing(target: Path, data: bytes) -> Iterator[Path]:
    """A complete temporary file beside the target; it is gone afterwards, whatever happens."""
    temporary = target.parent / f"{WRITING}{uuid.uuid4().hex}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:  # not tempfile: its files are closed to other users for good
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}; check permissions and free space") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
