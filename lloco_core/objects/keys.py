"""Which keys lie below a root: those without steps up, and, in a folder, without a root of their own."""

from __future__ import annotations

from lloco_core.errors import StorageError


class KeyOutsideError(StorageError):
    """A key that could lead out of the root it is used below."""


def key_below(root: str, key: str) -> str:
    """Return a key that stays below its root.

    Raises:
        KeyOutsideError: it has a part `.` or `..`, or a NUL.
    """
    if {".", ".."} & set(key.split("/")) or "\x00" in key:
        raise KeyOutsideError(f"key {key[:200]!r} may lead out of {root}: it has a part '.' or '..', or a NUL; rename the object")
    return key
