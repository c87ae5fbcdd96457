"""The listed corpus as Arrow batches, so that a million objects never exist as Python objects at once."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from lloco_core.corpus.inventory import inventory_batches
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


def listing_batches(corpus: CorpusConfig, paths: PathFilter | None = None) -> pa.RecordBatchReader:
    """The objects of a corpus, sorted by path: from its inventory if it has one, else listed. `paths` counts what is ignored.

    Raises:
        ConfigurationError: no object is left, or a pattern, manifest, or inventory is not usable.
        StorageError: the corpus cannot be listed.
    """
    paths = paths or PathFilter(corpus)
    if corpus.inventory:
        return pa.RecordBatchReader.from_batches(LISTING, (batch.cast(LISTING) for batch in inventory_batches(corpus, paths)))
    return pa.RecordBatchReader.from_batches(LISTING, _listed(corpus, paths))


def _listed(corpus: CorpusConfig, paths: PathFilter) -> Iterator[pa.RecordBatch]:
    sources = list_corpus(corpus, paths)
    while rows := list(islice(sources, BATCH_ROWS)):
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
