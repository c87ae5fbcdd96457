"""Creating and opening the tables of a store."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from lloco_core.errors import CommitError, ConfigurationError, StorageError
from lloco_core.store.filters import sql_list
from lloco_core.store.tables import Store
from tests.unit.store.fixtures import DIMENSION, HIDDEN, PLACES, SUMMARY, new_store, place


@pytest.fixture(params=PLACES)
def store_uri(request, tmp_path, monkeypatch):
    yield from place(request, tmp_path, monkeypatch)


TABLES = ("segments", "passages", "documents", "quarantine", "ledger", "adapters")


def test_tables_are_created_once_and_reopened(store_uri):
    assert not Store(store_uri).exists("documents")
    new_store(store_uri)
    again = new_store(store_uri)
    for name in TABLES:
        assert again.exists(name)
        assert again.dataset(name).version == 1  # not written a second time
        assert again.dataset(name).count_rows() == 0
    segments = again.dataset("segments").schema
    assert segments.field("summary").type == pa.list_(pa.float16(), SUMMARY * HIDDEN)
    assert segments.metadata[b"hidden_size"] == str(HIDDEN).encode()
    assert again.dataset("passages").schema.field("vector").type == pa.list_(pa.float32(), DIMENSION)


def test_other_vector_shape_is_refused_with_both_types(store):
    with pytest.raises(CommitError) as caught:
        store.create_tables(SUMMARY, HIDDEN * 2, DIMENSION)
    for part in ("segments", "summary", "halffloat", "[16]", "[32]", store.root, "store of their own"):
        assert part in str(caught.value)
    with pytest.raises(CommitError, match=r"passages .*\[4\].*\[5\]"):
        store.create_tables(SUMMARY, HIDDEN, 5)


def test_equal_size_of_another_shape_is_refused(store):
    """4 x 4 and 2 x 8 make the same flat list, but reading one as the other mixes up the vectors."""
    with pytest.raises(CommitError, match=r"segments .* 2 x 8, this run writes 4 x 4"):
        store.create_tables(4, 4, DIMENSION)


def test_missing_store_is_named(store_uri):
    with pytest.raises(StorageError, match=r"documents\.lance cannot be opened.*ingest"):
        Store(store_uri).dataset("documents")


def test_root_is_the_same_however_it_is_written(store):
    assert Store(store.root + "/").root == store.root
    assert Store(Store(store.root).root).exists("ledger")


def test_store_prefix_with_url_syntax_is_refused(s3):
    """Lance would cut the prefix there and put every table of every such store in one place."""
    for uri in ("s3://bucket/a#b", "s3://bucket/a?b", "s3://bucket/a%20b"):
        with pytest.raises(ConfigurationError, match="URL syntax"):
            Store(uri)


def test_store_folder_may_have_any_name(tmp_path):
    store = new_store(str(tmp_path / "it's #1 100%25?"))
    assert (tmp_path / "it's #1 100%25?" / "ledger.lance").is_dir()
    assert store.dataset("ledger").count_rows() == 0


def test_quotes_are_doubled():
    assert sql_list(["it's", "b"]) == "'it''s', 'b'"


@pytest.mark.parametrize("uri", ["line\nbreak", "esc\x1b[31m", "s3://bucket/a/../b", "s3://bucket/./b", "nul\x00"])
def test_a_store_that_lance_would_read_otherwise_is_refused(tmp_path, uri):
    with pytest.raises(ConfigurationError, match="Lance reads no control characters"):
        Store(uri if "://" in uri else f"{tmp_path}/{uri}")


@pytest.mark.parametrize("name", ["%2e%2e", "#?%", "it's", "back\\slash", "*", "...", "x/../y", "\U0001f600"])
def test_a_store_lies_where_its_name_says(tmp_path, name):
    store = Store(f"{tmp_path}/in/{name}")
    store.create_tables(2, 8, 4)
    store.objects.put("beside.txt", b"")
    assert store.exists("ledger")
    assert {path.name for path in Path(os.path.normpath(f"{tmp_path}/in/{name}")).iterdir()} >= {"documents.lance", "beside.txt"}
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
