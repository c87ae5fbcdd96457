"""From text to `Document`: its id, hash, title, and group. Called by the format readers' entry point."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.groups import group_of
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.corpus.unpacking import CODECS
from lloco_core.fingerprint import digest
from lloco_core.types import Document, SourceObject

PAGES_WITHOUT_TEXT = "pages_without_text"
"""Name in a document's metadata of how many of its pages have no text; absent where all have."""
_MAX_TITLE = 200
_PLACEHOLDERS = {"untitled", "untitled document", "document", "word document", "title", "none"}
_MAX_ID = 256


def build_document(
    read: ReadText, source: SourceObject, uri: str, media_type: str, metadata: dict[str, Any], given_id: object, config: CorpusConfig
) -> Document:
    """Give text its identity. `given_id` is the id that a manifest or container says, None where it says none.

    Raises:
        Rejected: `empty`, `pdf_no_text`, `id_invalid`, or `no_group`.
    """
    if not read.text.strip():
        raise Rejected(Reason.EMPTY, "there is no text but white space; fill or exclude it")
    _refuse_empty_pages(read, config.max_empty_pages)
    if read.n_empty_pages:
        metadata = {PAGES_WITHOUT_TEXT: read.n_empty_pages} | metadata
    stem = _line(file_stem(source.relative_path))
    fallback = f"{stem} {uri.rpartition('#')[2]}" if uri != source.uri else stem
    return Document(
        doc_id=digest(uri) if given_id is None else valid_id(given_id),
        uri=uri,
        etag=source.etag,
        text=read.text,
        content_hash=digest(read.text),
        title=_sensible(metadata.get("title")) or _sensible(read.title) or fallback,
        media_type=media_type,
        page_starts=read.page_starts,
        group=group_of(source.relative_path, metadata, config),
        metadata=metadata,
        n_pages_without_text=read.n_empty_pages,
    )


def _refuse_empty_pages(read: ReadText, allowed: float) -> None:
    n_pages = len(read.page_starts)
    if read.n_empty_pages > allowed * n_pages:
        message = f"{read.n_empty_pages} of its {n_pages} pages have no text layer, more than corpus.max_empty_pages {allowed:g}"
        raise Rejected(Reason.PDF_NO_TEXT, f"{message}; run OCR over it first or raise the option")


def valid_id(given: object) -> str:
    """Check an id that comes from outside: it becomes part of keys, file names, and messages.

    Raises:
        Rejected: `id_invalid`.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    usable = isinstance(given, str) and 1 <= len(given) <= _MAX_ID and given.isprintable() and given == given.strip()
    if not usable or given in (".", "..") or "/" in given or "\\" in given:
        raise Rejected(
            Reason.ID_INVALID, f"id {str(given)[:80]!r} is not 1 to {_MAX_ID} printable characters without path separators; correct the id"
        )
    return given


def file_stem(relative_path: str) -> str:
    """File name without its format and compression suffixes."""
    path = PurePosixPath(relative_path)
    if path.suffix.lower() in CODECS:
        path = path.with_suffix("")
    return path.stem


def _line(text: str) -> str:
    return " ".join(normalise_text(text).split())


def _sensible(title: object) -> str | None:
    if not isinstance(title, str):
        return None
    title = _line(title).removeprefix("Microsoft Word - ")
    return title if 0 < len(title) <= _MAX_TITLE and title.lower() not in _PLACEHOLDERS else None
