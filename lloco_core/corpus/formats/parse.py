"""Bytes of one object to its documents, whatever the format.

Never raises for bad input: what the readers know becomes its reason code, and what a parser library throws beyond that
is caught here, and only here, as `parser_failed`. `reading.py` calls `parse_object`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import decompress
from lloco_core.corpus.documents import build_document
from lloco_core.corpus.formats.containers import read_rows
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.formats.registry import BY_SUFFIX, CODECS, Format
from lloco_core.corpus.formats.sniffing import looks_like, packed_with, true_suffix
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.types import Document, Rejection, SourceObject


def parse_object(data: bytes, source: SourceObject, config: CorpusConfig) -> Iterator[Document | Rejection]:
    """Yield the documents of an object and a rejection for everything in it that cannot be one."""
    try:
        yield from _parse(data, source, config)
    except Rejected as rejected:
        yield _rejection(source, rejected.reason, rejected.message)
    except Exception as error:  # noqa: BLE001 - parsers raise anything on broken files, RecursionError and MemoryError included
        first_line = str(error).partition("\n")[0][:300]
        message = f"{type(error).__name__}: {first_line}; check that the file opens in its own program, or exclude it"
        yield _rejection(source, Reason.PARSER_FAILED, message)


def _parse(data: bytes, source: SourceObject, config: CorpusConfig) -> Iterator[Document | Rejection]:
    path = PurePosixPath(source.relative_path)
    suffix = path.suffix.lower()
    if len(data) > config.max_bytes:
        raise Rejected(Reason.TOO_LARGE, f"{len(data)} bytes are more than corpus.max_bytes {config.max_bytes}; split it or raise it")
    if not data:
        raise Rejected(Reason.EMPTY, "zero bytes; fill or exclude it")
    if suffix in CODECS:
        data = decompress(data, CODECS[suffix], config.max_bytes)
        suffix = path.with_suffix("").suffix.lower()
    elif suffix in BY_SUFFIX and (codec := packed_with(data)):
        data = decompress(data, codec, config.max_bytes)
    yield from _documents(data, _format_of(path, suffix, data), source, config)


def _format_of(path: PurePosixPath, suffix: str, data: bytes) -> Format:
    found = BY_SUFFIX.get(true_suffix(suffix, data))
    if found is None:
        seems = looks_like(data)
        looks = f" and it looks like {seems}" if seems else ""
        known = " ".join(BY_SUFFIX)
        message = f"suffix {suffix!r} of {path.name!r} is not one of {known}{looks}; convert it or use corpus.exclude"
        raise Rejected(Reason.UNKNOWN_FORMAT, message)
    return found


def _documents(data: bytes, found: Format, source: SourceObject, config: CorpusConfig) -> Iterator[Document | Rejection]:
    read = found.read(data, config.max_bytes) if found.read else (found.rows or found.either)(data, config)
    if isinstance(read, ReadText):
        yield build_document(read, source, source.uri, found.media_type, source.metadata, source.metadata.get("doc_id"), config)
    else:
        yield from read_rows(read, found.media_type, source, config)


def _rejection(source: SourceObject, reason: Reason, message: str) -> Rejection:
    return Rejection(source.uri, source.etag, "parse", reason.value, message)
