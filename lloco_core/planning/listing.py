"""The listed corpus as Arrow batches, so that a million objects never exist as Python objects at once."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from lloco_core.corpus.inventory import inventory_batches
from lloco_core.corpus.manifest import is_manifest
from lloco_core.corpus.overlap import entry_check
from lloco_core.corpus.patterns import PathFilter
from lloco_core.corpus.sources import list_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.config import CorpusConfig

BATCH_ROWS = 10_000

LISTING = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("relative_path", pa.string(), nullable=False),
        pa.field("metadata", pa.string()),  # JSON; null where there is none
    ]
)


def listing_batches(corpus: CorpusConfig, store_uri: str | None = None, paths: PathFilter | None = None) -> pa.RecordBatchReader:
    """The objects of a corpus, sorted by path: from its inventory if it has one, else listed. `paths` counts what is ignored.

    Raises:
        ConfigurationError: no object is left, a manifest names one of the store, or a pattern, manifest, or inventory is not usable.
        StorageError: the corpus cannot be listed.
    """
    paths = paths or PathFilter(corpus)
    if corpus.inventory:
        return pa.RecordBatchReader.from_batches(LISTING, (batch.cast(LISTING) for batch in inventory_batches(corpus, paths)))
    return pa.RecordBatchReader.from_batches(LISTING, _listed(corpus, store_uri, paths))


def _listed(corpus: CorpusConfig, store_uri: str | None, paths: PathFilter) -> Iterator[pa.RecordBatch]:
    sources = list_corpus(corpus, paths)
    check = entry_check(corpus.uri, store_uri) if store_uri and is_manifest(corpus.uri) else None
    while rows := list(islice(sources, BATCH_ROWS)):
        for source in rows if check else ():
            check(source.uri)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array([source.uri for source in rows]),
                pa.array([source.etag for source in rows]),
                pa.array([source.size for source in rows], pa.int64()),
                pa.array([source.relative_path for source in rows]),
                pa.array([json.dumps(source.metadata) if source.metadata else None for source in rows], pa.string()),
            ],
            schema=LISTING,
        )
