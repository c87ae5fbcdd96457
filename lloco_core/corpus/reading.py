"""One listed object to its documents: size check, reading, parsing in a process of its own. The step that shards are made of.

Everything wrong with the object itself comes out as a `Rejection`, even when it kills its parser; a store that does not answer is
raised, because quarantining a whole corpus for an outage would be wrong. Workers call `read_documents`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lloco_core.config import CorpusConfig
from lloco_core.corpus.formats import parse_object
from lloco_core.corpus.isolation import isolated_parser
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.corpus.sources import UnreadableObjectError, read_object
from lloco_core.types import Document, Rejection, SourceObject


def read_documents(source: SourceObject, config: CorpusConfig) -> Iterator[Document | Rejection]:
    """Read and parse one object.

    Raises:
        StorageError: the store does not answer; try again.
        ParserStartError: the worker cannot start a parser process.
    """
    refused = refuse_unread(source, config)
    if refused:
        yield refused
        return
    try:
        data = read_object(source)
    except UnreadableObjectError as error:
        yield Rejection(source.uri, source.etag, "read", Reason.UNREADABLE.value, str(error))
        return
    try:
        yield from isolated_parser().call(parse_object, data, source, config, limits=config)
    except Rejected as rejected:
        yield Rejection(source.uri, source.etag, "parse", rejected.reason.value, rejected.message)


def refuse_unread(source: SourceObject, config: CorpusConfig) -> Rejection | None:
    """Refuse an object by its listed size, before anything of it is read."""
    if source.size <= config.max_bytes:
        return None
    message = f"{source.size} bytes are more than corpus.max_bytes {config.max_bytes}; split the document or raise the limit"
    return Rejection(source.uri, source.etag, "list", Reason.TOO_LARGE.value, message)
