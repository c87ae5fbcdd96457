"""Containers of documents: every row of a .jsonl or .parquet file, or of a table with a text column, is a document of its own.

A row is `<uri>#row-N` (N counts lines or rows from 0, so that appending changes no name; a sheet or key stands before it), or `<uri>#<id>`
where `corpus.id_field` names its id. A bad row is rejected alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from lloco_core.config import CorpusConfig
from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.documents import build_document, valid_id
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected, parser_failed
from lloco_core.corpus.rows import Label, Row, Rows
from lloco_core.types import Document, Rejection, SourceObject


def read_rows(
    rows: Rows, damage: Rejected | None, media_type: str, source: SourceObject, config: CorpusConfig
) -> Iterator[Document | Rejection]:
    """Yield a document or a rejection per row; what a damaged archive lost is one rejection that counts it.

    Raises:
        Rejected: the container as a whole is not readable or has no row.
    """
    seen: set[str] = set()
    label, empty = None, True
    for label, row in rows:
        empty = False
        yield _read_row(label, row, seen, media_type, source, config)
    if empty:
        raise damage or Rejected(Reason.EMPTY, "the container has no rows; fill or exclude it")
    if damage:
        yield rejection_of(f"{source.uri}#row-{label + 1}", source, damage)


def _read_row(
    label: Label, row: Row | Rejected, seen: set[str], media_type: str, source: SourceObject, config: CorpusConfig
) -> Document | Rejection:
    uri = source.uri if label is None else f"{source.uri}#row-{label}"
    try:
        if isinstance(row, Rejected):
            raise row
        row_id = _row_id(row, config.id_field, seen)
        uri = f"{source.uri}#{quote(row_id, safe='')}" if row_id is not None else uri
        given = source.metadata if label is None else _of_all_rows(source)
        metadata = {**given, **{name: value for name, value in row.items() if name != config.text_field}}
        if label is None and row_id is None:
            row_id = source.metadata.get("doc_id")
        return build_document(_row_text(row, config.text_field), source, uri, media_type, metadata, row_id, config)
    except Rejected as rejected:
        return rejection_of(uri, source, rejected)
    except Exception as error:  # noqa: BLE001 - whatever one row does, the rows behind it are read
        return rejection_of(uri, source, parser_failed(error))


def rejection_of(uri: str, source: SourceObject, rejected: Rejected) -> Rejection:
    """Why an object, or a row of it, is no document."""
    return Rejection(uri, source.etag, "parse", rejected.reason.value, rejected.message, rejected.n_documents)


def _of_all_rows(source: SourceObject) -> Row:
    # A manifest's id and title name the container, not each of its rows.
    return {name: value for name, value in source.metadata.items() if name not in ("doc_id", "title")}


def _row_id(row: Row, field: str | None, seen: set[str]) -> str | None:
    if field is None:
        return None
    row_id = valid_id(row.get(field))
    if row_id in seen:
        raise Rejected(Reason.ID_DUPLICATE, f"id {row_id!r} was given to an earlier row of this container; make ids unique")
    seen.add(row_id)
    return row_id


def _row_text(row: Row, field: str) -> ReadText:
    text = row.get(field)
    if not isinstance(text, str) or not text.strip():
        found = f"{type(text).__name__} {str(text)[:40]!r}" if field in row else f"nothing, only fields {sorted(row)[:20]}"
        raise Rejected(Reason.ROW_WITHOUT_TEXT, f"text field {field!r} holds {found}; fill it or set corpus.text_field")
    return ReadText(normalise_text(text))
