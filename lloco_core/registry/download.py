"""Fetching a published adapter into a local cache: whole or not at all, also with several processes at once.

A folder that an interrupted or older download left half is found by the digests of the adapter's manifest and replaced.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lloco_core.errors import RegistryError, StorageError
from lloco_core.fingerprint import file_digest
from lloco_core.locks import only_one
from lloco_core.objects import key_below

if TYPE_CHECKING:
    from lloco_core.objects import ObjectInfo
    from lloco_core.store.tables import Store

MANIFEST = "manifest.json"


def download_adapter(store: Store, adapter_id: str, cache: Path) -> Path:
    """Fetch an adapter into a local folder; a folder store's own files are used in place.

    Raises:
        RegistryError: there is no such adapter, or its files are not those of its manifest.
        StorageError: it cannot be fetched, or the cache cannot be written.
    """
    prefix = f"adapters/{key_below(store.root, adapter_id)}/"
    files = {item.key.removeprefix(prefix): item for item in store.objects.list(prefix)}
    if not files:
        raise RegistryError(f"{store.root} has no adapter {adapter_id!r}; `lloco status` lists them")
    if store.storage_options is None:
        return Path(store.root, "adapters", adapter_id)
    if MANIFEST not in files:
        raise RegistryError(f"{store.root}/{prefix} has no {MANIFEST}: its registration was interrupted; run `register-adapters` again")
    manifest = store.objects.get(files[MANIFEST].key)
    digests = json.loads(manifest)["sha256"] | {MANIFEST: hashlib.sha256(manifest).hexdigest()}
    folder = cache / adapter_id
    if not _is_whole(folder, files, digests):
        try:
            with only_one(folder):
                if not _is_whole(folder, files, digests):  # another process may have fetched it meanwhile
                    _replace(store, folder, files, digests)
        except OSError as error:
            raise StorageError(f"cannot write below {folder.parent}: {error}; check its permissions and free space") from error
    return folder


def _replace(store: Store, folder: Path, files: dict[str, ObjectInfo], digests: dict[str, str]) -> None:
    making = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    for name, item in files.items():
        target = making / key_below(str(making), name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(store.objects.get(item.key))
    if not _is_whole(making, files, digests):
        shutil.rmtree(making)
        raise RegistryError(f"{store.root}/adapters/{folder.name} is not what its {MANIFEST} says; restore its files, or roll back")
    if folder.exists():
        shutil.rmtree(folder)
    making.rename(folder)


def _is_whole(folder: Path, files: dict[str, ObjectInfo], digests: dict[str, str]) -> bool:
    try:
        sizes = all((folder / name).stat().st_size == item.size for name, item in files.items())
        return sizes and all(file_digest(folder / name) == expected for name, expected in digests.items())
    except OSError:
        return False
