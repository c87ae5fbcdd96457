"""Fixtures of the corpus tests: parsing hand-made bytes, corpora in a folder, and buckets on a real (moto) S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.formats import parse_object
from lloco_core.settings import settings
from lloco_core.types import Document, Rejection, SourceObject


@pytest.fixture
def parse() -> Callable[..., list[Document | Rejection]]:
    """Parse bytes as if they were the file `path` of a corpus; keywords are fields of `CorpusConfig`."""

    def parse_bytes(path: str, data: bytes, metadata: dict[str, Any] | None = None, **options: Any) -> list[Document | Rejection]:
        source = SourceObject(f"file:///corpus/{path}", "e1", len(data), path, metadata or {})
        return list(parse_object(data, source, CorpusConfig(uri="/corpus", **options)))

    return parse_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Write files below a fresh folder."""

    def write(files: dict[str, bytes]) -> Path:
        root = tmp_path / "corpus"
        root.mkdir()
        for name, data in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        return root

    return write


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)  # a fixed port that is taken would hang for ever
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A boto3 client with an empty bucket `docs`, and an environment in which the package reaches the same server."""
    import boto3

    for name in ("AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    settings.cache_clear()
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="docs")
    yield client
    for item in client.list_objects_v2(Bucket="docs").get("Contents", ()):
        client.delete_object(Bucket="docs", Key=item["Key"])
    client.delete_bucket(Bucket="docs")
    settings.cache_clear()
