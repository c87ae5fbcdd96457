"""What is in a corpus: its documents as a folder, a bucket prefix, or a manifest names them, without reading them.

The listing is sorted and depends on nothing but the corpus. What cannot be looked at (a missing manifest entry, a
broken link) is listed all the same: reading it gives the reason and quarantines it. Links to folders are not followed.
The planner calls `list_corpus`; workers call `read_object` through `reading.py`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from urllib.parse import unquote_to_bytes, urlsplit

from lloco_core.config import CorpusConfig
from lloco_core.corpus.manifest import is_manifest, read_manifest
from lloco_core.corpus.patterns import PathFilter, stated_codec
from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.objects import KeyOutsideError, LocalObjects, ObjectInfo, Objects, canonical_root, open_objects
from lloco_core.settings import Settings, settings
from lloco_core.types import SourceObject

_OPENING = Lock()
"""Making two boto3 clients at once is not safe; using one from many threads is."""


class UnreadableObjectError(StorageError):
    """This one object cannot be read, and trying again will not help. Other `StorageError`s may pass."""


def list_corpus(config: CorpusConfig, paths: PathFilter | None = None) -> Iterator[SourceObject]:
    """List the documents of a corpus, sorted by path. `paths` counts what is ignored.

    Raises:
        ConfigurationError: the corpus has no document, a pattern is invalid, or the manifest is not usable.
        StorageError: the folder or bucket cannot be listed.
    """
    paths = paths or PathFilter(config)
    n_listed = n_kept = 0
    for source in _list_manifest(config, paths) if is_manifest(config.uri) else _list_folder(config, paths):
        n_listed += 1
        if paths.keeps(source.relative_path):
            n_kept += 1
            yield _with_encoding(source, config)
    if not n_kept:
        raise paths.refuse_nothing(n_listed)


def corpus_uri(config: CorpusConfig) -> str:
    """Where a corpus lies, in the one spelling that its documents are stored with."""
    root = canonical_root(config.uri)
    return root if root.startswith("s3://") else LocalObjects(root).uri("")


def read_object(source: SourceObject) -> bytes:
    """Read one listed object.

    Raises:
        UnreadableObjectError: it is missing, denied, not a regular file, or a link out of the corpus.
        StorageError: the store does not answer.
    """
    objects, key = locate(source.uri)
    local = isinstance(objects, LocalObjects)
    if local:
        _refuse_special(objects.path / key, source)
    try:
        return objects.get(key)
    except StorageError as error:
        if local or _concerns_one_object(error):
            raise UnreadableObjectError(str(error)) from error
        raise


def locate(uri: str) -> tuple[Objects, str]:
    """Split a canonical URI into the store that holds it and its key there."""
    if uri.startswith("s3://"):  # not urlsplit: `#` and `?` are ordinary characters of a key
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        with _OPENING:
            return _bucket(bucket, settings()), key
    return LocalObjects("/"), os.fsdecode(unquote_to_bytes(urlsplit(uri).path)).lstrip("/")


@lru_cache(maxsize=4)
def _bucket(name: str, _surroundings: Settings) -> Objects:
    return open_objects(f"s3://{name}")  # kept: a client takes longer to make than an object to read


def _list_folder(config: CorpusConfig, paths: PathFilter) -> Iterator[SourceObject]:
    objects = open_objects(config.uri)
    if isinstance(objects, LocalObjects) and objects.path.is_file():
        raise ConfigurationError(f"corpus.uri {config.uri} is a file; give its folder and name the file in corpus.include")
    for found in objects.list():
        if not paths.ignores(found.key):
            yield SourceObject(objects.uri(found.key), found.etag, found.size, _readable(found.key))


def _list_manifest(config: CorpusConfig, paths: PathFilter) -> Iterator[SourceObject]:
    return (source for source in read_manifest(config.uri, _look) if not paths.ignores(source.relative_path, named=True))


def _with_encoding(source: SourceObject, config: CorpusConfig) -> SourceObject:
    """Another stated encoding is a change: what was stored or quarantined without it is read again."""
    codec = stated_codec(source.relative_path, config)
    return replace(source, etag=f"{source.etag}-{codec}") if codec else source


def _look(uri: str) -> ObjectInfo | None:
    objects, key = locate(uri)
    return objects.stat(key)


def _readable(key: str) -> str:
    return os.fsencode(key).decode("utf-8", "replace")


def _refuse_special(path: Path, source: SourceObject) -> None:
    root = path.parents[source.relative_path.count("/")]
    try:
        target = path.resolve(strict=True)
        regular = stat.S_ISREG(target.stat().st_mode)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise UnreadableObjectError(f"cannot read {path}: {error}; check that it exists and is readable") from error
    if not target.is_relative_to(root.resolve()):
        raise UnreadableObjectError(f"{path} is a link to {target}, outside the corpus folder {root}; copy the file into the corpus")
    if not regular:
        raise UnreadableObjectError(f"{path} is not a regular file (a pipe, socket, or device); exclude it")


def _concerns_one_object(error: StorageError) -> bool:
    from botocore.exceptions import ClientError

    if isinstance(error, KeyOutsideError):
        return True
    cause = error.__cause__
    codes = {"NoSuchKey", "404", "AccessDenied", "403", "InvalidObjectState"}
    return isinstance(cause, ClientError) and cause.response["Error"].get("Code") in codes
