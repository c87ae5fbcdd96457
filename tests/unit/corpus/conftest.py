"""Fixtures of the corpus tests: parsing hand-made bytes, corpora in a folder, and buckets on a real S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.formats import parse_object
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


@pytest.fixture
def s3(s3: Any) -> Iterator[Any]:
    """The client of the S3 server, with an empty bucket `docs`."""
    s3.create_bucket(Bucket="docs")
    yield s3
    for item in s3.list_objects_v2(Bucket="docs").get("Contents", ()):
        s3.delete_object(Bucket="docs", Key=item["Key"])
    s3.delete_bucket(Bucket="docs")
