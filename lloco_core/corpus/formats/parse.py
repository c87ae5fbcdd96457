"""Bytes of one object to its documents, whatever the format.

Never raises for bad input: what the readers know becomes its reason code, and what a parser library throws beyond that
is caught here, and only here, as `parser_failed`. `reading.py` calls `parse_object`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import as_marked_utf8, decompress
from lloco_core.corpus.documents import build_document
from lloco_core.corpus.formats.containers import JSONL, PARQUET, read_rows
from lloco_core.corpus.formats.docx import read_docx
from lloco_core.corpus.formats.html import read_html
from lloco_core.corpus.formats.pdf import read_pdf
from lloco_core.corpus.formats.read_text import ReadText, read_markdown, read_plain
from lloco_core.corpus.patterns import stated_codec
from lloco_core.corpus.reasons import Reason, Rejected
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
    ".docx": _DOCX,
}
"""Suffix -> media type and reader of formats that hold one document."""
CONTAINERS = {".jsonl": JSONL, ".ndjson": JSONL, ".parquet": PARQUET}
"""Suffix -> media type of formats that hold one document per row."""
CODECS = {".gz": "gzip", ".zst": "zstd"}
"""Suffix -> codec around any of the above."""


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
    codec = stated_codec(source.relative_path, config)
    if codec:
        data = as_marked_utf8(data, codec)
    if suffix in CONTAINERS:
        yield from read_rows(data, CONTAINERS[suffix], source, config)
    elif suffix in WHOLE:
        media_type, reader = WHOLE[suffix]
        read = reader(data, config.max_bytes)
        yield build_document(read, source, source.uri, media_type, source.metadata, source.metadata.get("doc_id"), config)
    else:
        known = " ".join([*WHOLE, *CONTAINERS])
        raise Rejected(Reason.UNKNOWN_FORMAT, f"suffix {suffix!r} of {path.name!r} is not one of {known}; convert it or use corpus.exclude")


def _rejection(source: SourceObject, reason: Reason, message: str) -> Rejection:
    return Rejection(source.uri, source.etag, "parse", reason.value, message)
