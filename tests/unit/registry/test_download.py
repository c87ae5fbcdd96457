"""Adapters on their way into a local cache: whole or not at all."""

import hashlib
import itertools
import json
import subprocess
import sys

import pytest

from lloco_core.errors import RegistryError, StorageError
from lloco_core.registry.download import MANIFEST, download_adapter
from tests.conftest import BUCKET
from tests.unit.store.fixtures import new_store, store_uri

__all__ = ["store_uri"]

_numbers = itertools.count()
NAME = "a--0123456789ab"
CONTENTS = {"adapter_config.json": b'{"r": 2}', "adapter_model.safetensors": bytes(range(256)) * 4000}


def publish(store, contents=CONTENTS):
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENTS.items()}
    for name, data in {**contents, MANIFEST: json.dumps({"sha256": digests}).encode()}.items():
        store.objects.put(f"adapters/{NAME}/{name}", data)
    return store


@pytest.fixture
def on_s3(s3):
    return publish(new_store(f"s3://{BUCKET}/adapters-{next(_numbers)}"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def test_download(store_uri, tmp_path):
    store = publish(new_store(store_uri))
    folder = download_adapter(store, NAME, tmp_path / "cache")
    assert contents(folder) == CONTENTS
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert download_adapter(store, NAME, tmp_path / "cache") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with pytest.raises(RegistryError, match=r"has no adapter 'a--none'; `lloco status`"):
        download_adapter(store, "a--none", tmp_path / "cache")


@pytest.mark.parametrize(
    "half",
    [
        {"adapter_config.json": CONTENTS["adapter_config.json"]},
        {**CONTENTS, "adapter_model.safetensors": CONTENTS["adapter_model.safetensors"][:1000]},
        {**CONTENTS, "adapter_model.safetensors": b""},
        {**CONTENTS, "adapter_model.safetensors": bytes(len(CONTENTS["adapter_model.safetensors"]))},
        {**CONTENTS, MANIFEST: b"{}"},
        {},
    ],
    ids=["missing", "cut", "empty", "zeros", "manifest", "nothing"],
)
def test_half_an_adapter_in_the_cache_is_replaced(on_s3, tmp_path, half):
    folder = tmp_path / NAME
    folder.mkdir()
    for name, data in half.items():
        (folder / name).write_bytes(data)
    assert contents(download_adapter(on_s3, NAME, tmp_path)) == CONTENTS
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, f"{NAME}.lock"]


def test_an_interrupted_download_leaves_no_folder_and_is_begun_anew(on_s3, tmp_path, monkeypatch):
    get, calls = on_s3.objects.get, []

    def broken(key):
        calls.append(key)
        if len(calls) == 3:  # the manifest, then the files
            raise StorageError("the store is gone")
        return get(key)

    monkeypatch.setattr(on_s3.objects, "get", broken)
    with pytest.raises(StorageError, match="the store is gone"):
        download_adapter(on_s3, NAME, tmp_path)
    assert not (tmp_path / NAME).exists()
    assert contents(download_adapter(on_s3, NAME, tmp_path)) == CONTENTS


@pytest.mark.parametrize("data", [b"", b"x" * len(CONTENTS["adapter_model.safetensors"])])
def test_files_that_are_not_those_of_the_manifest_are_refused(on_s3, tmp_path, data):
    publish(on_s3, {**CONTENTS, "adapter_model.safetensors": data})
    with pytest.raises(RegistryError, match=r"is not what its manifest\.json says"):
        download_adapter(on_s3, NAME, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.lock"]


def test_an_adapter_without_manifest_is_refused(on_s3, tmp_path):
    on_s3.objects.delete(f"adapters/{NAME}/{MANIFEST}")
    with pytest.raises(RegistryError, match="registration was interrupted"):
        download_adapter(on_s3, NAME, tmp_path)


def test_a_cache_that_cannot_be_written_is_said(on_s3, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StorageError, match=r"cannot write below .*cache"):
        download_adapter(on_s3, NAME, tmp_path / "cache")


_ONE = """
import sys
from pathlib import Path
from lloco_core.registry import download
from lloco_core.store.tables import Store
whole, loads = download._replace, []
download._replace = lambda *args: (loads.append(1), whole(*args))
folder = download.download_adapter(Store(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
print(len(loads), sum(path.stat().st_size for path in folder.iterdir()))
"""


def test_of_three_processes_one_downloads(on_s3, tmp_path):
    command = [sys.executable, "-c", _ONE, on_s3.root, NAME, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=120)[0].split() for process in running]
    assert sorted(loads for loads, _ in answers) == ["0", "0", "1"]
    assert len({size for _, size in answers}) == 1
    assert contents(tmp_path / NAME) == CONTENTS
