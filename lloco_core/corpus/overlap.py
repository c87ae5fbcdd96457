"""A corpus and its store must not hold each other: what a night writes would be the next night's documents.

A store below its corpus is refused wherever it lies there, in a hidden folder too. A corpus below its store is refused where the store
keeps its own files, which are swept; beside them it is safe. Folders are compared by what they are, not by how they are spelled: links
and `..` are followed, and of mounted folders the device and inode are looked at. Links to folders inside a corpus are not listed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from lloco_core.config import CorpusConfig
from lloco_core.corpus.manifest import is_manifest
from lloco_core.corpus.sources import locate
from lloco_core.errors import ConfigurationError
from lloco_core.objects import LocalObjects, canonical_root

OWN_FOLDERS = ("adapters", "registry")
"""Parts of a store, beside its tables (`*.lance`) and what begins with an underscore."""


def refuse_overlap(corpus: CorpusConfig, store_uri: str) -> None:
    """Refuse a store inside its corpus, and a corpus among the files of its store; what a manifest names is looked at when it is read.

    Raises:
        ConfigurationError: one lies in the other.
    """
    root, store = canonical_root(corpus.uri), canonical_root(store_uri)
    if not is_manifest(corpus.uri) and below(store, root) is not None:
        raise ConfigurationError(
            f"store.uri {store_uri} lies inside corpus.uri {corpus.uri}: the store's own files would become documents; "
            "put the store beside the corpus, not into it"
        )
    if _is_own(below(root, store)):
        raise ConfigurationError(
            f"corpus.uri {corpus.uri} lies inside store.uri {store_uri}, among the files that the store writes and sweeps; "
            "put the corpus beside the store"
        )


def entry_check(manifest: str, store_uri: str) -> Callable[[str], None]:
    """A check of what a manifest names: it refuses the URI of a file of the store, also when it is reached through a link."""
    store = canonical_root(store_uri)
    is_own = lru_cache(maxsize=10_000)(lambda folder: _is_own(below(folder, store)))

    def check(uri: str) -> None:
        objects, key = locate(uri)
        place = str(objects.path / key) if isinstance(objects, LocalObjects) else canonical_root(uri)
        if is_own(place.rpartition("/")[0] or "/"):
            raise ConfigurationError(
                f"manifest {manifest} names {uri[:200]}, which lies among the files of store.uri {store_uri}; take it out of the manifest"
            )

    return check


def below(inner: str, outer: str) -> str | None:
    """The path from one canonical root down to another: empty where they are the same, None where it does not lead there."""
    if inner.startswith("s3://") or outer.startswith("s3://"):
        return f"{inner}/".removeprefix(f"{outer}/").rstrip("/") if f"{inner}/".startswith(f"{outer}/") else None
    path, target = Path(os.path.realpath(inner)), Path(os.path.realpath(outer))
    for folder in (path, *path.parents):
        if folder == target or _is_same(folder, target):
            return path.relative_to(folder).as_posix().removeprefix(".")
    return None


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return False


def _is_own(inside: str | None) -> bool:
    """Whether the store keeps its files in a folder below its root; in the root itself, too."""
    part = None if inside is None else inside.partition("/")[0]
    return part is not None and (not part or part.startswith("_") or part.endswith(".lance") or part in OWN_FOLDERS)
