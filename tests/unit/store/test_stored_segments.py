"""Finding and reading what a changed document may be continued from."""

from __future__ import annotations

import numpy as np
import pytest

from lloco_core.errors import StorageError
from lloco_core.store import filters, segments
from lloco_core.store.schema import segments_schema
from lloco_core.store.segments import StoredSegments, may_be_continued
from lloco_core.store.tables import Store
from tests.unit.store.fixtures import HIDDEN, SUMMARY, compressed, document, ingest, known_of, shard, vectors_of

TEXTS = {f"{number}.txt": " ".join(f"word{number}" for _ in range(4 * number + 1)) for number in range(5)}
DOCUMENTS = [document(name, text) for name, text in TEXTS.items()]
KNOWN = {found.doc_id: known_of(found) for found in DOCUMENTS}


@pytest.fixture
def stored(store: Store) -> StoredSegments:
    ingest(store, shard("p1", 0, DOCUMENTS[:2]), shard("p1", 1, DOCUMENTS[2:]))
    return StoredSegments(store, store.dataset("segments").version)


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_hashes_and_vectors_are_those_that_were_written(stored: StoredSegments, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(filters, "IN_LIST_LIMIT", limit)
    monkeypatch.setattr(segments, "BATCH_ROWS", limit)
    versions = stored.find(KNOWN)
    assert list(versions) == sorted(KNOWN)
    for found in DOCUMENTS:
        version = versions[found.doc_id]
        assert version.prefix_hashes == tuple(segment.prefix_hash for segment in compressed(found).segments)
        vectors = stored.summaries(version.row_ids)
        assert np.stack([vectors[row] for row in version.row_ids]).tobytes() == vectors_of(found.text, len(version.row_ids)).tobytes()
    assert versions[DOCUMENTS[4].doc_id].first(2).prefix_hashes == versions[DOCUMENTS[4].doc_id].prefix_hashes[:2]


def test_only_what_was_asked_for_is_found(stored: StoredSegments) -> None:
    wanted = DOCUMENTS[3]
    other_version = {DOCUMENTS[2].doc_id: known_of(document("2.txt", TEXTS["2.txt"], group="b"))}
    assert list(stored.find({wanted.doc_id: KNOWN[wanted.doc_id], **other_version})) == [wanted.doc_id]
    assert stored.find({}) == {}
    assert stored.summaries([]) == {}


def test_rows_that_are_gone_are_an_error(stored: StoredSegments) -> None:
    with pytest.raises(StorageError, match="has no rows"):
        stored.summaries([10**12])


def test_only_16_bit_vectors_are_continued(store: Store, stored: StoredSegments, monkeypatch: pytest.MonkeyPatch) -> None:
    assert may_be_continued(segments_schema(SUMMARY, HIDDEN))
    assert not may_be_continued(segments_schema(SUMMARY, HIDDEN, vectors="int8"))
    assert not may_be_continued(segments_schema(SUMMARY, HIDDEN, vectors="float8_e4m3"))
    assert may_be_continued(store.dataset("segments").schema)
    monkeypatch.setattr(segments, "may_be_continued", lambda _: False)
    assert stored.find(KNOWN) == {}
