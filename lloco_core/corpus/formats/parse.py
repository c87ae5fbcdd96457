"""Bytes of one object to its documents, whatever the format.

Never raises for bad input: what the readers know becomes its reason code. What a parser library throws beyond that
becomes `parser_failed`: here for a whole object, in `containers.py` for one row. `reading.py` calls `parse_object`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import as_marked_utf8
from lloco_core.corpus.documents import build_document
from lloco_core.corpus.formats.containers import read_rows, rejection_of
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.formats.registry import BY_SUFFIX, Format
from lloco_core.corpus.formats.sniffing import looks_like, packed_with, true_suffix
from lloco_core.corpus.patterns import IN_ONE_ENCODING, stated_codec
from lloco_core.corpus.reasons import Reason, Rejected, parser_failed
from lloco_core.corpus.unpacking import CODECS, Unpacked, unpack
from lloco_core.types import Document, Rejection, SourceObject


def parse_object(data: bytes, source: SourceObject, config: CorpusConfig) -> Iterator[Document | Rejection]:
    """Yield the documents of an object and a rejection for everything in it that cannot be one."""
    try:
        yield from _parse(data, source, config)
    except Rejected as rejected:
        yield rejection_of(source.uri, source, rejected)
    except Exception as error:  # noqa: BLE001 - parsers raise anything on broken files, RecursionError and MemoryError included
        yield rejection_of(source.uri, source, parser_failed(error))


def _parse(data: bytes, source: SourceObject, config: CorpusConfig) -> Iterator[Document | Rejection]:
    path = PurePosixPath(source.relative_path)
    suffix = path.suffix.lower()
    if len(data) > config.max_bytes:
        raise Rejected(Reason.TOO_LARGE, f"{len(data)} bytes are more than corpus.max_bytes {config.max_bytes}; split it or raise it")
    if not data:
        raise Rejected(Reason.EMPTY, "zero bytes; fill or exclude it")
    codec = CODECS.get(suffix)
    if codec:
        suffix = path.with_suffix("").suffix.lower()
    elif suffix in BY_SUFFIX:
        codec = packed_with(data)
    in_lines = suffix in BY_SUFFIX and BY_SUFFIX[suffix].in_lines
    unpacked = unpack(data, codec, config.max_bytes, config.parse_memory_mb, in_lines) if codec else Unpacked(data)
    suffix = true_suffix(suffix, unpacked.data)
    yield from _documents(unpacked, suffix, _format_of(path, suffix, unpacked.data), source, config)


def _format_of(path: PurePosixPath, suffix: str, data: bytes) -> Format:
    if suffix in BY_SUFFIX:
        return BY_SUFFIX[suffix]
    seems = looks_like(data)
    looks = f" and it looks like {seems}" if seems else ""
    message = f"suffix {suffix!r} of {path.name!r} is not one of {' '.join(BY_SUFFIX)}{looks}; convert it or use corpus.exclude"
    raise Rejected(Reason.UNKNOWN_FORMAT, message)


def _documents(
    unpacked: Unpacked, suffix: str, found: Format, source: SourceObject, config: CorpusConfig
) -> Iterator[Document | Rejection]:
    if unpacked.damage and not found.in_lines:
        raise unpacked.damage
    if suffix in IN_ONE_ENCODING and (stated := stated_codec(source.relative_path, config)):
        unpacked = replace(unpacked, data=as_marked_utf8(unpacked.data, stated))
    data = unpacked.whole_lines()
    read = found.read(data, config.max_bytes) if found.read else (found.rows or found.either)(data, config)
    if isinstance(read, ReadText):
        yield build_document(read, source, source.uri, found.media_type, source.metadata, source.metadata.get("doc_id"), config)
    else:
        yield from read_rows(read, unpacked.damage, found.media_type, source, config)
