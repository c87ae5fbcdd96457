"""Bytes of one object to its documents, whatever the format.

Never raises for bad input: what the readers know becomes its reason code, and what a parser library throws beyond that
is caught here, and only here, as `parser_failed`. `reading.py` calls `parse_object`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import as_marked_utf8
from lloco_core.corpus.documents import build_document
from lloco_core.corpus.formats.containers import JSONL, PARQUET, read_rows
from lloco_core.corpus.formats.html import read_html
from lloco_core.corpus.formats.pdf import read_pdf
from lloco_core.corpus.formats.read_text import ReadText, read_markdown, read_plain
from lloco_core.corpus.formats.word import read_docx
from lloco_core.corpus.patterns import stated_codec
from lloco_core.corpus.reasons import Reason, Rejected, parser_failed
from lloco_core.corpus.unpacking import CODECS, Unpacked, unpack
from lloco_core.types import Document, Rejection, SourceObject

Reader = Callable[[bytes, int], ReadText]

_PLAIN = ("text/plain", read_plain)
_MARKDOWN = ("text/markdown", read_markdown)
_HTML = ("text/html", read_html)
_DOCX = ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", read_docx)

WHOLE: dict[str, tuple[str, Reader]] = {
    ".txt": _PLAIN,
    ".text": _PLAIN,
    ".log": _PLAIN,
    ".rst": _PLAIN,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".pdf": ("application/pdf", read_pdf),
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), _DOCX),
}
"""Suffix -> media type and reader of formats that hold one document."""
CONTAINERS = {".jsonl": JSONL, ".ndjson": JSONL, ".parquet": PARQUET}
"""Suffix -> format that holds one document per row."""


def parse_object(data: bytes, source: SourceObject, config: CorpusConfig) -> Iterator[Document | Rejection]:
    """Yield the documents of an object and a rejection for everything in it that cannot be one."""
    try:
        yield from _parse(data, source, config)
    except Rejected as rejected:
        yield _rejection(source, rejected)
    except Exception as error:  # noqa: BLE001 - parsers raise anything on broken files, RecursionError and MemoryError included
        yield _rejection(source, parser_failed(error))


def _parse(data: bytes, source: SourceObject, config: CorpusConfig) -> Iterator[Document | Rejection]:
    path = PurePosixPath(source.relative_path)
    suffix = path.suffix.lower()
    if len(data) > config.max_bytes:
        raise Rejected(Reason.TOO_LARGE, f"{len(data)} bytes are more than corpus.max_bytes {config.max_bytes}; split it or raise it")
    if not data:
        raise Rejected(Reason.EMPTY, "zero bytes; fill or exclude it")
    unpacked = Unpacked(data)
    if suffix in CODECS:
        codec, suffix = CODECS[suffix], path.with_suffix("").suffix.lower()
        in_lines = suffix in CONTAINERS and CONTAINERS[suffix].in_lines
        unpacked = unpack(data, codec, config.max_bytes, config.parse_memory_mb, in_lines)
    if stated := stated_codec(source.relative_path, config):
        unpacked = replace(unpacked, data=as_marked_utf8(unpacked.data, stated))
    if suffix in CONTAINERS:
        yield from read_rows(unpacked, CONTAINERS[suffix], source, config)
    elif suffix in WHOLE:
        if unpacked.damage:
            raise unpacked.damage
        media_type, reader = WHOLE[suffix]
        read = reader(unpacked.data, config.max_bytes)
        yield build_document(read, source, source.uri, media_type, source.metadata, source.metadata.get("doc_id"), config)
    else:
        known = " ".join([*WHOLE, *CONTAINERS])
        raise Rejected(Reason.UNKNOWN_FORMAT, f"suffix {suffix!r} of {path.name!r} is not one of {known}; convert it or use corpus.exclude")


def _rejection(source: SourceObject, rejected: Rejected) -> Rejection:
    return Rejection(source.uri, source.etag, "parse", rejected.reason.value, rejected.message, rejected.n_documents)
