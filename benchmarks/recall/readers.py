"""The readers that are compared: a file's path to all the text it gives, empty where it refuses the file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from lloco_core.config import CorpusConfig
from lloco_core.corpus.formats import parse_object
from lloco_core.types import Document, SourceObject

Reader = Callable[[Path], str]

_LIMITS = CorpusConfig(uri="/corpus")


def readers() -> dict[str, Reader]:
    """This package, and those public readers that are installed."""
    found: dict[str, Reader] = {"ours": ours}
    for name, make in (("markitdown", _markitdown), ("kreuzberg", _kreuzberg)):
        try:
            found[name] = _refusing_nothing(make())
        except ImportError:
            logging.getLogger(__name__).warning("%s is not installed; install the extra `benchmark`", name)
    return found


def ours(path: Path) -> str:
    """Text of all documents of the file, with the metadata of rows."""
    data = path.read_bytes()
    source = SourceObject(path.as_uri(), "etag", len(data), path.name)
    documents = [found for found in parse_object(data, source, _LIMITS) if isinstance(found, Document)]
    return "\n".join([found.text + "\n" + " ".join(map(str, found.metadata.values())) for found in documents])


def _markitdown() -> Reader:
    from markitdown import MarkItDown

    converter = MarkItDown(enable_plugins=False)
    return lambda path: converter.convert_local(path).text_content


def _kreuzberg() -> Reader:
    from kreuzberg import ExtractionConfig, extract_file_sync

    config = ExtractionConfig()
    return lambda path: extract_file_sync(path, config=config).content


def _refusing_nothing(read: Reader) -> Reader:
    def reader(path: Path) -> str:
        try:
            return read(path)
        except Exception:  # noqa: BLE001 - a refusal is a text of no words
            return ""

    return reader
