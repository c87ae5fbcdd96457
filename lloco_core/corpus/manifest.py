"""A corpus as a table: rows of a .jsonl or .parquet file with a `uri` and any metadata.

A manifest is part of the configuration: a row that cannot be understood, or a path that leaves the manifest's folder
by `..`, stops the run, because a document that is silently left out would look deleted. An entry that names a missing
object is listed and quarantined when read. `sources.py` calls this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from lloco_core.corpus.jsonl import jsonl_rows
from lloco_core.corpus.parquet import parquet_rows
from lloco_core.corpus.reasons import Rejected
from lloco_core.credentials import MESSAGE, has_credentials
from lloco_core.errors import ConfigurationError
from lloco_core.fingerprint import digest
from lloco_core.objects import ObjectInfo, Objects, open_at, open_objects
from lloco_core.types import SourceObject

_LOOKUPS = 16
"""Requests in flight while sizes and etags are looked up."""
_MAX_KEY_BYTES = 1024
"""Of an S3 key."""
_SHOWN = 200
"""Characters of a URI in a message."""
_EXACT = ("doc_id", "group", "title")
"""Columns of a Parquet manifest beside `uri` whose text has to be UTF-8."""
_MAX_BYTES = 2**30
"""Upper bound of an unpacked Parquet manifest."""


@dataclass(frozen=True, slots=True)
class _Entry:
    uri: str
    relative_path: str
    metadata: dict[str, Any]


def is_manifest(uri: str) -> bool:
    """Whether a corpus URI names a manifest rather than a folder."""
    return uri.endswith((".jsonl", ".parquet"))


def read_manifest(uri: str, look: Callable[[str], ObjectInfo | None]) -> Iterator[SourceObject]:
    """Read a manifest and `look` at every object it names; sorted by path.

    Raises:
        ConfigurationError: a row is malformed, has no usable `uri`, or contradicts another one.
        StorageError: the manifest or a store cannot be read.
    """
    objects, name = open_at(uri)
    entries = sorted(_entries(uri, objects, _rows(uri, objects.get(name))), key=lambda entry: (entry.relative_path, entry.uri))
    with ThreadPoolExecutor(_LOOKUPS) as pool:
        for entry, found in zip(entries, pool.map(lambda entry: look(entry.uri), entries), strict=True):
            etag, size = (found.etag, found.size) if found else ("missing", 0)
            if entry.metadata:
                etag = f"{etag}-{digest(entry.metadata, 8)}"  # a new group or title is a change, too
            yield SourceObject(entry.uri, etag, size, entry.relative_path, entry.metadata)


def _rows(uri: str, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for number, row in jsonl_rows(data) if uri.endswith(".jsonl") else parquet_rows(data, _MAX_BYTES, "uri", _EXACT):
            if isinstance(row, Rejected):
                raise row
            yield number, row
    except Rejected as rejected:
        raise ConfigurationError(f"manifest {uri} is not usable: {rejected.message}") from rejected


def _entries(manifest: str, objects: Objects, rows: Iterator[tuple[int, dict[str, Any]]]) -> list[_Entry]:
    entries: dict[str, tuple[int, _Entry]] = {}
    for number, row in rows:
        raw = row.pop("uri", None)
        if not isinstance(raw, str) or not raw.strip():
            raise ConfigurationError(
                f"manifest {manifest}, row {number}: no `uri`, only {sorted(row)}; a manifest names one document per row. "
                "To read the rows themselves as documents, give the folder as corpus.uri and this file in corpus.include"
            )
        if has_credentials(raw):
            raise ConfigurationError(f"manifest {manifest}, row {number}: {MESSAGE}")
        try:
            entry = _Entry(*_resolve(raw.strip(), objects), _with_plain_id(row))
        except ValueError as error:
            raise ConfigurationError(f"manifest {manifest}, row {number}: uri {raw[:_SHOWN]!r} {error}") from error
        first_number, first = entries.setdefault(entry.uri, (number, entry))
        if first != entry:
            raise ConfigurationError(
                f"manifest {manifest}: rows {first_number} and {number} say different things of {raw[:_SHOWN]!r}; keep one"
            )
    return [entry for _, entry in entries.values()]


def _with_plain_id(row: dict[str, Any]) -> dict[str, Any]:
    """The row with a number as `doc_id` written out; whether the id is a good one is seen when the document is read."""
    given = row.get("doc_id")
    if isinstance(given, (list, dict)):
        raise ValueError(f"has a {type(given).__name__} as doc_id; give a string or a number")
    return row | {"doc_id": str(given)} if type(given) is int else row


def _resolve(raw: str, objects: Objects) -> tuple[str, str]:
    """The canonical URI of a manifest's `uri` and its path below the manifest's folder, or below its own root elsewhere."""
    scheme, separator, rest = raw.partition("://")
    scheme = scheme.lower() if separator else ""
    raw = f"{scheme}://{rest}" if separator else raw  # what reads it later knows small letters only
    if scheme not in ("", "file", "s3"):
        raise ValueError(f"has the unsupported scheme {scheme!r}; use a path below the manifest, file://, or s3://")
    path = unquote(urlsplit(raw).path) if scheme == "file" else raw
    if ".." in PurePosixPath(path).parts or "\x00" in path:
        raise ValueError("leaves its folder by '..'; name the document by its full path")
    if scheme == "s3":
        key = _checked_key(rest.partition("/")[2])
        below = raw.removeprefix(objects.root + "/")
        return raw, below if below != raw else key
    if not path.startswith("/"):
        clean = PurePosixPath(path).as_posix()
        uri = objects.uri(clean)
        if uri.startswith("s3://"):
            _checked_key(uri.removeprefix("s3://").partition("/")[2])
        return uri, clean
    if objects.root.startswith("s3://"):
        raise ValueError("is a local file in a manifest on S3; name an object")
    local = open_objects("/")
    below = path.removeprefix(objects.root.rstrip("/") + "/")
    return local.uri(path.lstrip("/")), below.lstrip("/")


def _checked_key(key: str) -> str:
    if not 0 < len(key.encode("utf-8", "replace")) <= _MAX_KEY_BYTES or "." in key.split("/"):
        raise ValueError(f"names no object: a key has 1 to {_MAX_KEY_BYTES} bytes and no part '.'; correct it")
    return key
