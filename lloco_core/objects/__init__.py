"""Objects in a folder or on S3 behind one small interface: list, get, put, create-only put.

`create` is the primitive the exactly-once rules rest on: it succeeds for exactly one caller per key (a hard link on disk,
`If-None-Match: *` on S3). Knows nothing of corpora or tables.
"""

from __future__ import annotations

from lloco_core.credentials import refuse_credentials
from lloco_core.errors import ConfigurationError
from lloco_core.objects.etags import PLACE, without_place
from lloco_core.objects.interface import ObjectInfo, Objects, Unfinished
from lloco_core.objects.keys import KeyOutsideError, key_below
from lloco_core.objects.local import LocalObjects, local_path
from lloco_core.objects.s3 import S3Objects, bucket_and_prefix

__all__ = [
    "PLACE",
    "KeyOutsideError",
    "LocalObjects",
    "ObjectInfo",
    "Objects",
    "S3Objects",
    "Unfinished",
    "canonical_root",
    "key_below",
    "open_at",
    "open_objects",
    "without_place",
]


def open_objects(root: str, outage_seconds: float | None = None) -> Objects:
    """Open a folder path, a `file://` URI, or an `s3://bucket/prefix` URI; see `S3Objects` for the outage."""
    scheme = _scheme(refuse_credentials(root))
    if scheme == "s3":
        return S3Objects(root, outage_seconds)
    if scheme in ("", "file"):
        return LocalObjects(root)
    raise ConfigurationError(f"cannot open {root!r}: scheme {scheme!r} is not supported; use a folder or s3://bucket/prefix")


def open_at(uri: str) -> tuple[Objects, str]:
    """Open the folder or prefix that holds one object, with the object's key there. The object is given by a path, a `file://` URI, or an
    `s3://bucket/key` URI.

    Raises:
        ConfigurationError: the URI names a folder or a bucket, or carries credentials.
    """
    scheme = _scheme(refuse_credentials(uri))
    folder, _, name = uri.rpartition("/")
    if name in ("", ".", "..") or folder.endswith(":/"):
        raise ConfigurationError(f"{uri!r} names no object; give the path of a file or s3://bucket/key")
    if scheme in ("", "file"):
        path = local_path(uri)
        return LocalObjects(str(path.parent)), path.name
    return open_objects(folder), name


def canonical_root(root: str) -> str:
    """The root as a Lance-readable location without a trailing slash: an absolute path or `s3://bucket/prefix`."""
    is_s3 = _scheme(refuse_credentials(root)) == "s3"
    return "/".join(["s3:/", *filter(None, bucket_and_prefix(root))]) if is_s3 else str(local_path(root))


def _scheme(root: str) -> str:
    return root.partition("://")[0].lower() if "://" in root else ""
