"""Nights over a corpus that changes: what is gone, renamed, moved, copied, and damaged. By a for-loop, without Ray."""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest

from lloco_core.config import CorpusConfig, StoreConfig
from lloco_core.errors import PlanRefused
from lloco_core.observe.cost import Cost, Price
from lloco_core.observe.preview import Preview
from lloco_core.planning import preview_corpus
from lloco_core.store.read import open_night
from lloco_core.store.tables import Store
from tests.crash.drill import ENCODER, picture
from tests.crash.loop import ingest
from tests.unit.changes.observed import assert_whole, encoded, forget_log, titles


def test_a_document_that_is_gone_leaves_the_store(corpus, store_uri):
    (corpus / "north" / "doc-1.txt").unlink()
    ingest(corpus, store_uri, "night-2")
    assert "doc-1" not in titles(store_uri)
    assert len(titles(store_uri)) == 9
    assert "doc-1" in [row.title for row in open_night(store_uri, "night-1").documents()]  # an older night still has it
    assert_whole(store_uri)
    assert encoded(store_uri) == {}


def test_a_quarantined_object_that_is_gone_leaves_the_quarantine(corpus, store_uri):
    (corpus / "north" / "bad.txt").unlink()
    ingest(corpus, store_uri, "night-2")
    assert [row["uri"].rpartition("/")[2] for row in picture(store_uri)["quarantine"]] == ["worse.txt"]


def test_a_renamed_document_and_a_copy_are_not_encoded(corpus, store_uri):
    before = open_night(store_uri)
    [old] = [row for row in before.documents() if row.title == "doc-1"]
    (corpus / "north" / "doc-1.txt").rename(corpus / "south" / "renamed.txt")
    (corpus / "north" / "copy.txt").write_text((corpus / "north" / "doc-3.txt").read_text())
    ingest(corpus, store_uri, "night-2")
    assert encoded(store_uri) == {}
    night = open_night(store_uri)
    [new] = [row for row in night.documents() if row.title == "renamed"]
    assert (new.group_id, old.group_id) == ("south", "north")
    assert night.summaries(new.doc_id).tobytes() == before.summaries(old.doc_id).tobytes()
    assert titles(store_uri) == sorted({*(f"doc-{number}" for number in range(10)), "renamed", "copy"} - {"doc-1"})
    assert_whole(store_uri)


def test_rows_that_leave_a_container_leave_the_store(tmp_path):
    folder, uri = tmp_path / "corpus" / "rows", str(tmp_path / "store")
    folder.mkdir(parents=True)

    def write(name, *rows):
        (folder / name).write_text("\n".join(json.dumps(row) if isinstance(row, dict) else row for row in rows))

    write("a.jsonl", *({"doc_id": str(number), "text": f"row number {number}"} for number in range(4)))
    options = {"id_field": "doc_id"}
    ingest(folder.parent, uri, "night-1", options=options)
    write("a.jsonl", {"doc_id": "0", "text": "row number 0"}, "no json", {"doc_id": "2", "text": "row number 2"})
    ingest(folder.parent, uri, "night-2", options=options)
    assert len(open_night(uri).documents()) == 4  # 1 or 3 may be what could not be read
    write("a.jsonl", {"doc_id": "0", "text": "row number 0"}, {"doc_id": "2", "text": "row number 2"})
    ingest(folder.parent, uri, "night-3", options=options)
    assert len(open_night(uri).documents()) == 4  # half of the rows: it may be cut off
    assert [row["code"] for row in picture(uri)["quarantine"]] == ["rows_missing"]
    ingest(folder.parent, uri, "night-3b", options={**options, "delete_rate": 1, "retry_quarantined": True})
    assert picture(uri)["quarantine"] == []
    assert sorted(row.doc_id for row in open_night(uri).documents()) == ["0", "2"]
    assert_whole(uri)
    forget_log(uri)
    (folder / "a.jsonl").rename(folder / "b.jsonl")  # the same ids in another object
    ingest(folder.parent, uri, "night-4", options=options)
    assert sorted(row.doc_id for row in open_night(uri).documents()) == ["0", "2"]
    assert encoded(uri) == {}
    assert_whole(uri)


def test_a_container_that_cannot_be_read_loses_no_row(tmp_path):
    folder, uri = tmp_path / "corpus" / "rows", str(tmp_path / "store")
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"}')
    ingest(folder.parent, uri, "night-1")
    (folder / "a.jsonl").write_bytes(b"\x00\x01\x02")
    ingest(folder.parent, uri, "night-2")
    assert len(open_night(uri).documents()) == 2
    assert_whole(uri)


def test_another_corpus_in_the_same_store_is_left_alone(corpus, store_uri, tmp_path):
    other = tmp_path / "other" / "east"
    other.mkdir(parents=True)
    (other / "new.txt").write_text("from elsewhere")
    ingest(other.parent, store_uri, "night-2")
    assert len(titles(store_uri)) == 11


def test_an_id_that_two_objects_claim_belongs_to_one_of_them(tmp_path):
    folder, uri = tmp_path / "corpus" / "rows", str(tmp_path / "store")
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({"id": row, "text": f"{row} of {name}"}) for row in ("same", name)))
    ingest(folder.parent, uri, "night-1", options={"id_field": "id"})
    assert {row.doc_id: row.uri.rpartition("/")[2] for row in open_night(uri).documents()} == {
        "a": "a.jsonl#a",
        "b": "b.jsonl#b",
        "same": "a.jsonl#same",
    }
    [refused] = picture(uri)["quarantine"]
    assert (refused["code"], refused["source_uri"].rpartition("/")[2]) == ("id_duplicate", "b.jsonl")
    assert "belongs to file://" in refused["message"]
    assert_whole(uri)
    forget_log(uri)
    ingest(folder.parent, uri, "night-2", options={"id_field": "id"})
    assert open_night(uri).name == "night-1"  # nothing to do
    assert encoded(uri) == {}


def manifest(folder, **ids):
    """A manifest that gives ids to files; their texts follow the ids, not the files."""
    rows = []
    for name, doc_id in ids.items():
        (folder / "g" / f"{name}.txt").write_text(f"The text of {doc_id}.")
        rows.append({"uri": f"g/{name}.txt", "doc_id": doc_id})
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder / "manifest.jsonl"


def test_ids_that_change_their_files_keep_their_texts(tmp_path):
    folder, uri = tmp_path / "corpus", str(tmp_path / "store")
    (folder / "g").mkdir(parents=True)
    ingest(manifest(folder, f1="a", f2="b", f3="c"), uri, "night-1", shard_objects=1)
    forget_log(uri)
    ingest(manifest(folder, f1="c", f2="a", f3="b"), uri, "night-2", shard_objects=1)
    night = open_night(uri)
    assert {row.doc_id: (row.uri.rpartition("/")[2], night.text(row.doc_id)) for row in night.documents()} == {
        "a": ("f2.txt", "The text of a."),
        "b": ("f3.txt", "The text of b."),
        "c": ("f1.txt", "The text of c."),
    }
    assert encoded(uri) == {}
    assert_whole(uri)


def test_entries_that_leave_a_manifest_leave_store_and_quarantine(tmp_path):
    folder, uri = tmp_path / "corpus", str(tmp_path / "store")
    (folder / "g").mkdir(parents=True)
    listing = manifest(folder, f1="a", f2="b", f3="c")
    (folder / "g" / "f3.txt").write_text(" ")
    ingest(listing, uri, "night-1")
    assert len(picture(uri)["quarantine"]) == 1
    ingest(manifest(folder, f1="a"), uri, "night-2")
    assert [row.doc_id for row in open_night(uri).documents()] == ["a"]
    assert picture(uri)["quarantine"] == []


def test_a_row_that_is_copied_into_another_container_keeps_its_vectors(tmp_path):
    folder, uri = tmp_path / "corpus" / "rows", str(tmp_path / "store")
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"id": "x", "text": "a text"}\n{"id": "y", "text": "why"}')
    (folder / "b.jsonl").write_text('{"id": "z", "text": "the last"}')
    ingest(folder.parent, uri, "night-1", options={"id_field": "id"})
    for name in ("a", "b"):
        with (folder / f"{name}.jsonl").open("a") as grown:
            grown.write(f'\n{{"id": "new-{name}", "text": "{name}"}}' + ('\n{"id": "x", "text": "a text"}' if name == "b" else ""))
    ingest(folder.parent, uri, "night-2", options={"id_field": "id"})
    assert sorted(row.doc_id for row in open_night(uri).documents()) == ["new-a", "new-b", "x", "y", "z"]
    assert_whole(uri)


def test_the_second_claimant_of_an_id_gets_it_when_the_first_is_gone(tmp_path):
    folder, uri = tmp_path / "corpus" / "rows", str(tmp_path / "store")
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.jsonl").write_text(json.dumps({"id": "same", "text": f"of {name}"}))
    ingest(folder.parent, uri, "night-1", options={"id_field": "id"})
    (folder / "a.jsonl").unlink()
    for night in ("night-2", "night-3"):  # the first sees the id taken still
        ingest(folder.parent, uri, night, options={"id_field": "id"})
    assert [row.uri.rpartition("/")[2] for row in open_night(uri).documents()] == ["b.jsonl#same"]
    assert picture(uri)["quarantine"] == []


def test_a_key_that_an_inventory_lists_twice_is_one_document(corpus, tmp_path):
    uri = str(tmp_path / "twice")
    keys = ["north/doc-1.txt", "north/doc-1.txt", "north/doc-3.txt"]
    (tmp_path / "listing.csv").write_text("key,size,etag\n" + "".join(f"{key},100,e{number % 2}\n" for number, key in enumerate(keys)))
    for night in ("night-1", "night-2"):
        ingest(corpus, uri, night, options={"inventory": str(tmp_path / "listing.csv")})
    assert titles(uri) == ["doc-1", "doc-3"]
    assert open_night(uri).name == "night-1"
    assert_whole(uri)


def test_one_copy_does_not_excuse_many_removals(corpus, store_uri):
    paths = sorted((corpus / "north").glob("doc-*.txt"))
    for path in (corpus / "south").glob("doc-*.txt"):  # of one size and time, as a listing sees them
        path.unlink()
    same = [corpus / "north" / f"same-{number}.txt" for number in range(5)]
    for path in same:
        path.write_text("the same")
        os.utime(path, (1, 1))
    ingest(corpus, store_uri, "night-2", options={"delete_rate": 1})
    for path in same:
        path.unlink()
    (corpus / "north" / "one.txt").write_text("the same")
    os.utime(corpus / "north" / "one.txt", (1, 1))
    with pytest.raises(PlanRefused, match="4 of 10 stored documents"):
        ingest(corpus, store_uri, "night-3")
    assert len(paths) == 5


def test_a_missing_mount_is_refused(corpus, store_uri):
    for path in (corpus / "north").iterdir():
        path.unlink()
    with pytest.raises(PlanRefused, match=r"5 of 10 stored documents .* are not listed any more, allowed are 2 .*delete-rate 1"):
        ingest(corpus, store_uri, "night-2")
    assert len(titles(store_uri)) == 10
    ingest(corpus, store_uri, "night-3", options={"delete_rate": 1})
    assert len(titles(store_uri)) == 5


def test_a_preview_changes_nothing(corpus, store_uri):
    (corpus / "north" / "doc-1.txt").write_text("another text")
    (corpus / "north" / "doc-3.txt").unlink()
    before = sorted(str(path) for path in Path(store_uri).rglob("*"))
    plan = preview_corpus(CorpusConfig(uri=str(corpus)), StoreConfig(uri=store_uri), Store(store_uri), ENCODER)
    assert (plan.n_shards, plan.n_removed, plan.n_unchanged, len(plan.shards)) == (1, 1, 8, 0)
    assert sorted(str(path) for path in Path(store_uri).rglob("*")) == before
    rate = Cost(encoded_tokens=1000, encoder_microseconds=10_000_000)
    found = dict(Preview.of(plan, rate, Price(Fraction(36), "EUR")).facts())
    assert (found["documents gone"], found["shards to encode"], found["tokens to encode, estimated"]) == ("1", "1", "3")
    assert (found["encoder seconds, estimated"], found["cost, estimated"]) == ("0 at 100 tokens/s", "0.00 EUR")
    assert "nothing was encoded into this store" in dict(Preview.of(plan, Cost(), None).facts())["encoder seconds, estimated"]


def test_one_percent_of_the_documents_costs_one_percent_of_the_work(tmp_path):
    folder, uri = tmp_path / "many", str(tmp_path / "store")
    (folder / "g").mkdir(parents=True)
    for number in range(200):
        (folder / "g" / f"doc-{number:03}.txt").write_text(f"Document {number}. " + "A sentence of it. " * 10)
    ingest(folder, uri, "night-1", shard_objects=100)
    assert sum(encoded(uri).values()) == 200
    forget_log(uri)
    ingest(folder, uri, "night-2", shard_objects=100)
    assert encoded(uri) == {}
    for number in (17, 170):
        (folder / "g" / f"doc-{number:03}.txt").write_text(f"Edited {number}.")
    ingest(folder, uri, "night-3", shard_objects=100)
    assert encoded(uri) == {"doc-017": 1, "doc-170": 1}
    ledger = Store(uri).dataset("ledger").to_table(filter="entry = 'shard'").to_pylist()
    tokens = {run: sum(row["n_tokens"] for row in ledger if row["run_id"] == run) for run in ("night-1", "night-3")}
    assert tokens["night-3"] <= 0.02 * tokens["night-1"]
