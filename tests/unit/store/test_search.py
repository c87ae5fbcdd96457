"""Indices, and the hybrid search that uses them."""

import itertools

import numpy as np
import pytest

from lloco_core.retrieval.search import search_passages
from lloco_core.store.index import build_indices
from lloco_core.store.nights import publish_night
from lloco_core.store.read import open_night
from tests.unit.store.fixtures import DIMENSION, compressed, document, ingest, shard

TEXTS = {
    "tea.txt": "the kettle boils water",
    "sea.txt": "whales swim in water",
    "sky.txt": "falcons hunt above clouds",
    "it's.txt": "a zeppelin drifts quietly",
}


@pytest.fixture
def corpus(store):
    found = {name: document(name, text, group="b" if name == "sea.txt" else "it's") for name, text in TEXTS.items()}
    ingest(store, shard("p1", 0, list(found.values())))
    build_indices(store)
    return found


def vector_of(found):
    return compressed(found).passage_vectors[0]


def indexed(store, table):
    return {field for index in store.dataset(table).describe_indices() for field in index.field_names}


def test_indices_are_built_once(store, corpus):
    assert indexed(store, "passages") == {"doc_id", "group_id", "text"}
    assert indexed(store, "segments") == {"doc_id"}
    assert indexed(store, "documents") == {"doc_id", "content_hash"}
    versions = {name: store.dataset(name).version for name in ("passages", "segments", "documents")}
    build_indices(store)
    assert {name: store.dataset(name).version for name in versions} == versions


def test_indices_of_empty_tables_wait(store):
    build_indices(store)
    assert indexed(store, "passages") == set()
    assert store.dataset("passages").version == 1


def test_new_rows_are_indexed_by_the_next_build(store, corpus):
    ingest(store, shard("p2", 0, [document("new.txt", "submarines dive")]), run_id="run-2")
    build_indices(store)
    dataset = store.dataset("passages")
    assert {index.name: dataset.stats.index_stats(index.name)["num_unindexed_rows"] for index in dataset.describe_indices()} == {
        "doc_id_idx": 0,
        "group_id_idx": 0,
        "text_idx": 0,
    }
    publish_night(store, "run-2")
    hits = search_passages(open_night(store.root), "submarines", np.zeros(DIMENSION, np.float32), 3)
    assert "submarines dive" in [hit.text for hit in hits]


def test_words_and_vectors_both_find(store, corpus):
    publish_night(store, "run-1")
    night = open_night(store.root)
    by_both = search_passages(night, "zeppelin", vector_of(corpus["it's.txt"]), 4)
    assert by_both[0].text == TEXTS["it's.txt"]
    hits = search_passages(night, "falcons", vector_of(corpus["tea.txt"]), 2)  # the word says one, the vector another
    assert {hit.text for hit in hits} == {TEXTS["sky.txt"], TEXTS["tea.txt"]}
    assert all(first.score >= second.score > 0 for first, second in itertools.pairwise(by_both))
    best = by_both[0]
    assert (best.doc_id, best.passage_index, best.segment_index) == (corpus["it's.txt"].doc_id, 0, 0)
    assert (best.char_start, best.char_end) == (0, len(TEXTS["it's.txt"]))


def test_a_group_shuts_the_others_out(store, corpus):
    publish_night(store, "run-1")
    night = open_night(store.root)
    assert [hit.group_id for hit in search_passages(night, "water", vector_of(corpus["tea.txt"]), 4, group="b")] == ["b"]
    assert len(search_passages(night, "water", vector_of(corpus["tea.txt"]), 4, group="it's")) == 3
    assert search_passages(night, "water", vector_of(corpus["tea.txt"]), 4, group="nobody") == []


def test_query_syntax_in_a_question_is_only_text(store, corpus):
    publish_night(store, "run-1")
    night, vector = open_night(store.root), vector_of(corpus["it's.txt"])
    for question in ('"(a:b)" OR *', "zeppelin's AND (", 'NOT "zeppelin^2~', "text:zeppelin", "\\ + - && || ! { } [ ]", "?"):
        assert search_passages(night, question, vector, 2)[0].text == TEXTS["it's.txt"], question


def test_search_reads_the_night_not_the_newest_rows(store, corpus):
    publish_night(store, "run-1")
    ingest(store, shard("p2", 0, [document("it's.txt", "a balloon rises", etag="e2")], known=[corpus["it's.txt"]]), run_id="run-2")
    build_indices(store)
    publish_night(store, "run-2")
    vector = vector_of(corpus["it's.txt"])
    assert search_passages(open_night(store.root, "run-1"), "zeppelin", vector, 1)[0].text == TEXTS["it's.txt"]
    texts = {hit.text for hit in search_passages(open_night(store.root), "zeppelin", vector, 10)}
    assert "a balloon rises" in texts
    assert TEXTS["it's.txt"] not in texts


def test_passages_of_documents_that_are_not_active_are_not_found(store, corpus):
    """Re-encoded documents wait beside the active ones: their passages are in the table, but not in the night."""
    waiting = [document(f"waiting-{number}.txt", f"a zeppelin drifts quietly {number}", group="it's") for number in range(5)]
    ingest(store, shard("p2", 0, waiting))
    store.dataset("documents").update({"status": "'staged'"}, where="uri LIKE '%waiting-%'")
    publish_night(store, "run-1")
    hits = search_passages(open_night(store.root), "zeppelin", vector_of(waiting[0]), 2)
    assert len(hits) == 2
    assert hits[0].text == TEXTS["it's.txt"]
    assert not {hit.doc_id for hit in hits} & {item.doc_id for item in waiting}
    assert len(search_passages(open_night(store.root), "zeppelin", vector_of(waiting[0]), 100)) == len(TEXTS)


def test_a_large_table_gets_a_vector_index(store, monkeypatch):
    monkeypatch.setattr("lloco_core.store.index.VECTOR_INDEX_ROWS", 256)
    found = [document(f"{number}.txt", f"text {number}") for number in range(256)]  # no fewer can be quantised
    ingest(store, shard("p1", 0, found))
    build_indices(store)
    assert "vector" in indexed(store, "passages")
    publish_night(store, "night")
    [best, *_] = search_passages(open_night(store.root), "nothing of this", vector_of(found[7]), 8)
    assert best.doc_id == found[7].doc_id
