"""Behaviours of Lance that exactly-once storing relies on. When an upgrade breaks one, the design has to change, not the test."""

import datetime
import json
import os
import time
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from lance.fragment import FragmentMetadata, write_fragments

SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("v", pa.list_(pa.float16(), 8))], metadata={"shape": "2x4"})


@pytest.fixture
def uri(tmp_path):
    path = str(tmp_path / "t.lance")
    lance.write_dataset(SCHEMA.empty_table(), path, schema=SCHEMA, mode="create")
    return path


def table(*ids):
    vectors = np.random.default_rng(0).standard_normal((len(ids), 8)).astype(np.float16)
    return pa.table([list(ids), pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 8)], schema=SCHEMA)


def append(uri, fragments, **properties):
    dataset = lance.dataset(uri)
    transaction = lance.Transaction(
        read_version=dataset.version, operation=lance.LanceOperation.Append(fragments), transaction_properties=properties
    )
    return lance.LanceDataset.commit(dataset, transaction)


def test_uncommitted_fragments_are_invisible(uri):
    fragments = write_fragments(table(1, 2), uri, schema=SCHEMA, mode="append")
    assert (lance.dataset(uri).version, lance.dataset(uri).count_rows()) == (1, 0)
    append(uri, fragments)
    assert (lance.dataset(uri).version, lance.dataset(uri).count_rows()) == (2, 2)


def test_fragments_travel_as_json(uri):
    written = write_fragments(table(1, 2), uri, schema=SCHEMA, mode="append")
    copies = [FragmentMetadata.from_json(json.dumps(json.loads(json.dumps(fragment.to_json())))) for fragment in written]
    append(uri, copies)
    assert lance.dataset(uri).to_table() == table(1, 2)


def test_transaction_properties_can_be_read_per_version(uri):
    append(uri, write_fragments(table(1), uri, schema=SCHEMA, mode="append"), shards='["s1"]', plan="p")
    append(uri, write_fragments(table(2), uri, schema=SCHEMA, mode="append"), shards='["s2"]')
    lance.dataset(uri).delete("id = 1")
    lance.dataset(uri).create_scalar_index("id", "BTREE")
    dataset = lance.dataset(uri)
    assert dataset.version == 5
    found = [(dataset.read_transaction(version).transaction_properties or {}).get("shards") for version in (2, 3, 4, 5)]
    assert found == ['["s1"]', '["s2"]', None, None]
    assert dataset.read_transaction(2).transaction_properties["plan"] == "p"


def test_committing_the_same_fragments_again_doubles_the_rows(uri):
    """Why `Committer` has to know what it committed: Lance gives no fence."""
    fragments = write_fragments(table(1, 2), uri, schema=SCHEMA, mode="append")
    append(uri, fragments)
    append(uri, fragments)
    assert sorted(lance.dataset(uri).to_table()["id"].to_pylist()) == [1, 1, 2, 2]


def test_an_append_from_an_older_version_is_rebased(uri):
    stale = lance.dataset(uri)
    append(uri, write_fragments(table(1), uri, schema=SCHEMA, mode="append"))
    operation = lance.LanceOperation.Append(write_fragments(table(2), uri, schema=SCHEMA, mode="append"))
    lance.LanceDataset.commit(stale, lance.Transaction(read_version=stale.version, operation=operation))
    assert sorted(lance.dataset(uri).to_table()["id"].to_pylist()) == [1, 2]


def test_flat_float16_lists_are_read_back_bit_for_bit(uri):
    append(uri, write_fragments(table(*range(100)), uri, schema=SCHEMA, mode="append"))
    stored = lance.dataset(uri).to_table()
    assert stored.schema.field("v").type == pa.list_(pa.float16(), 8)
    assert stored.schema.metadata == {b"shape": b"2x4"}  # the shape of the flat list travels in the schema
    expected = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float16)
    assert stored["v"].combine_chunks().flatten().to_numpy().tobytes() == expected.tobytes()
    picked = lance.dataset(uri).to_table(columns=["v"], filter="id IN (3)")
    assert picked["v"].combine_chunks().flatten().to_numpy().tobytes() == expected[3].tobytes()


def test_a_version_stays_as_it_was(uri):
    append(uri, write_fragments(table(1, 2), uri, schema=SCHEMA, mode="append"))
    lance.dataset(uri).delete("id = 1")
    assert lance.dataset(uri).to_table()["id"].to_pylist() == [2]
    assert lance.dataset(uri, version=2).to_table()["id"].to_pylist() == [1, 2]


def test_tags_protect_from_cleaning(uri):
    append(uri, write_fragments(table(1, 2), uri, schema=SCHEMA, mode="append"))
    lance.dataset(uri).tags.create("night-1", 2)
    lance.dataset(uri).delete("id = 1")
    lance.dataset(uri).delete("id = 2")
    now = datetime.timedelta(0)
    with pytest.raises(OSError, match="tagged"):
        lance.dataset(uri).cleanup_old_versions(older_than=now)
    lance.dataset(uri).cleanup_old_versions(older_than=now, error_if_tagged_old_versions=False)
    assert [version["version"] for version in lance.dataset(uri).versions()] == [2, 4]
    assert lance.dataset(uri, version=2).to_table() == table(1, 2)


def test_deleted_rows_stay_in_their_files_until_these_fragments_are_rewritten(uri):
    """Forgetting finds them so, and rewrites no other fragment."""

    def in_files(dataset):
        scanner = dataset.scanner(columns=["id"], filter="id IN (1)", with_row_id=True, include_deleted_rows=True, use_scalar_index=False)
        return scanner.to_table()["id"].to_pylist()

    append(uri, write_fragments(table(1, 2), uri, schema=SCHEMA, mode="append"))
    append(uri, write_fragments(table(3), uri, schema=SCHEMA, mode="append"))
    lance.dataset(uri).delete("id = 1")
    dataset = lance.dataset(uri)
    dirty, other = [fragment.fragment_id for fragment in dataset.get_fragments()]
    assert (dataset.count_rows("id = 1"), in_files(dataset)) == (0, [1])
    dataset.optimize.compact_files(target_rows_per_fragment=2048, materialize_deletions_threshold=0.0, excluded_fragment_ids=[other])
    after = lance.dataset(uri)
    assert in_files(after) == []
    fragments = [fragment.fragment_id for fragment in after.get_fragments()]
    assert other in fragments
    assert dirty not in fragments
    assert sorted(after.to_table()["id"].to_pylist()) == [2, 3]


def test_a_restore_is_a_new_version_that_says_what_it_restored(uri):
    append(uri, write_fragments(table(1), uri, schema=SCHEMA, mode="append"))
    append(uri, write_fragments(table(2), uri, schema=SCHEMA, mode="append"))
    lance.dataset(uri, version=2).restore()
    dataset = lance.dataset(uri)
    assert (dataset.version, dataset.to_table()["id"].to_pylist()) == (4, [1])
    assert dataset.read_transaction(4).operation.version == 2


def test_the_filter_of_a_delete_stays_readable_in_its_version(uri):
    """Why quarantine rows are forgotten by row id, and a version is put on top of a delete before old ones are cleaned up."""
    append(uri, write_fragments(table(1, 2), uri, schema=SCHEMA, mode="append"))
    lance.dataset(uri).delete("id = 1 OR id = 123456789")
    assert "123456789" in lance.dataset(uri).read_transaction(3).operation.predicate
    lance.dataset(uri).restore()
    lance.dataset(uri).cleanup_old_versions(datetime.timedelta(0))
    assert not [path for path in Path(uri).rglob("*") if path.is_file() and b"123456789" in path.read_bytes()]


def test_cleaning_removes_uncommitted_files_after_a_week(uri):
    """Why nothing is cleaned while a plan has been open for days: `store.maintenance.versions`."""
    append(uri, write_fragments(table(1, 2), uri, schema=SCHEMA, mode="append"))
    lance.dataset(uri).delete("id = 1")
    [young], [old] = (write_fragments(table(3), uri, schema=SCHEMA, mode="append") for _ in range(2))
    paths = {name: Path(uri, "data", fragment.files[0].path) for name, fragment in (("young", young), ("old", old))}
    for name, days in (("young", 6.9), ("old", 7.1)):
        written = time.time() - days * 86400
        os.utime(paths[name], (written, written))
    lance.dataset(uri).cleanup_old_versions(versions=[2])
    assert {name: path.exists() for name, path in paths.items()} == {"young": True, "old": False}


def test_a_tag_can_be_moved(uri):
    dataset = lance.dataset(uri)
    dataset.tags.create("night-1", 1)
    append(uri, write_fragments(table(1), uri, schema=SCHEMA, mode="append"))
    lance.dataset(uri).tags.update("night-1", 2)
    assert lance.dataset(uri).tags.list()["night-1"]["version"] == 2


def test_quotes_in_filters_are_doubled(uri):
    names = pa.schema([pa.field("name", pa.string())])
    path = uri.replace("t.lance", "names.lance")
    lance.write_dataset(pa.table({"name": ["it's", "its", "\\", '"']}, schema=names), path)
    assert lance.dataset(path).count_rows("name IN ('it''s')") == 1
    assert lance.dataset(path).count_rows("name = '\\'") == 1
