"""Nights over a corpus that changes: what is gone, renamed, moved, and encoded with another encoder. By a for-loop, without Ray."""

import json
import os
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from lloco_core.config import CorpusConfig, StoreConfig
from lloco_core.errors import PlanRefused
from lloco_core.observe.cost import Cost, Price
from lloco_core.observe.preview import Preview
from lloco_core.planning import preview_corpus
from lloco_core.store.read import open_night
from lloco_core.store.switching import MARKER
from lloco_core.store.tables import Store
from lloco_core.types import Rejection
from tests.crash.drill import ENCODER, picture, write_corpus
from tests.crash.loop import ingest


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    write_corpus(folder)
    return folder


@pytest.fixture
def store_uri(corpus, tmp_path):
    uri = str(tmp_path / "store")
    ingest(corpus, uri, "night-1")
    forget_log(uri)
    return uri


def forget_log(uri):
    Path(f"{uri}.encoded").unlink(missing_ok=True)


def encoded(uri):
    """Titles of the documents that were encoded since `forget_log`, with how often."""
    log = Path(f"{uri}.encoded")
    return Counter(log.read_text().split()) if log.exists() else Counter()


def titles(uri):
    return sorted(row.title for row in open_night(uri).documents())


def assert_whole(uri):
    """Every document that readers see has its segments and passages once, and nothing else lies in the tables."""
    rows = picture(uri)
    readable = {row["version_id"]: row["n_segments"] for row in rows["documents"] if row["status"] in ("active", "staged")}
    assert Counter(row["version_id"] for row in rows["segments"]) == readable
    assert {row["version_id"] for row in rows["passages"]} == set(readable)
    active = [row["doc_id"] for row in rows["documents"] if row["status"] == "active"]
    assert len(active) == len(set(active))


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


def fingerprints(uri):
    return {(row.group_id, row.encoder_fingerprint) for row in open_night(uri).documents()}


def test_a_new_encoder_is_staged_and_switched_group_by_group(corpus, store_uri):
    layout = {"reencode_tokens": 900}  # about half of a group of five documents
    ingest(corpus, store_uri, "night-2", encoder="toy-2", **layout)
    staged = Counter(row["status"] for row in picture(store_uri)["documents"])
    assert 0 < staged["staged"] < 5
    assert fingerprints(store_uri) == {("north", ENCODER), ("south", ENCODER)}  # nobody sees half a group
    assert_whole(store_uri)

    (corpus / "north" / "new.txt").write_text("a new document waits for its group")
    seen = []
    for number in range(3, 9):
        ingest(corpus, store_uri, f"night-{number}", encoder="toy-2", **layout)
        seen.append(fingerprints(store_uri))
        assert_whole(store_uri)
    assert {("north", "toy-2"), ("south", ENCODER)} in seen
    assert seen[-1] == {("north", "toy-2"), ("south", "toy-2")}
    assert max(encoded(store_uri).values()) == 1  # no document was encoded twice
    assert "new" in titles(store_uri)
    assert fingerprints_of_night(store_uri, "night-1") == {ENCODER}


def fingerprints_of_night(uri, name):
    return {row.encoder_fingerprint for row in open_night(uri, name).documents()}


def test_an_encoder_that_is_taken_back_leaves_nothing(corpus, store_uri):
    before = picture(store_uri)
    ingest(corpus, store_uri, "night-2", encoder="toy-2", reencode_tokens=900)
    ingest(corpus, store_uri, "night-3")
    after = picture(store_uri)
    assert after["segments"] == before["segments"]
    assert after["passages"] == before["passages"]
    assert_whole(store_uri)


def test_a_document_the_new_encoder_refuses_does_not_hold_its_group(corpus, store_uri, monkeypatch):
    from tests.crash.loop import ToyEncoder

    original = ToyEncoder._vectors

    def refuse(self, ids, before):
        vectors = original(self, ids, before)
        return vectors * float("nan") if "".join(map(chr, ids)).startswith("Report 3.") else vectors

    monkeypatch.setattr(ToyEncoder, "_vectors", refuse)
    ingest(corpus, store_uri, "night-2", encoder="toy-2")
    assert fingerprints(store_uri) == {("north", "toy-2"), ("south", "toy-2")}
    assert "doc-3" not in titles(store_uri)
    assert [row["code"] for row in picture(store_uri)["quarantine"] if row["uri"].endswith("doc-3.txt")] == ["not_encodable"]
    assert_whole(store_uri)


@pytest.mark.parametrize("then", ["toy-2", ENCODER])
def test_an_interrupted_switch_is_finished(corpus, store_uri, monkeypatch, then):
    """Also by a run that has the old encoder again: half a switch shows neither."""
    from lloco_core.store import switching

    original = switching._set_status

    def killed(store, lease, status, where):
        if status == "active":
            raise RuntimeError("killed here")
        original(store, lease, status, where)

    monkeypatch.setattr(switching, "_set_status", killed)
    with pytest.raises(RuntimeError, match="killed here"):
        ingest(corpus, store_uri, "night-2", encoder="toy-2")
    monkeypatch.undo()
    assert Store(store_uri).objects.stat(MARKER)
    ingest(corpus, store_uri, "night-3", encoder=then, reencode_tokens=1)
    assert Store(store_uri).objects.stat(MARKER) is None
    assert fingerprints(store_uri) == {("north", "toy-2"), ("south", "toy-2")}
    assert len(titles(store_uri)) == 10
    assert_whole(store_uri)


def test_a_document_that_cannot_be_read_any_more_does_not_hold_its_group(corpus, store_uri):
    """It kept its version of the old encoder until then."""
    (corpus / "north" / "doc-1.txt").write_text(" ")
    ingest(corpus, store_uri, "night-2")
    assert "doc-1" in titles(store_uri)
    ingest(corpus, store_uri, "night-3", encoder="toy-2")
    assert fingerprints(store_uri) == {("north", "toy-2"), ("south", "toy-2")}
    assert "doc-1" not in titles(store_uri)
    assert_whole(store_uri)


def test_a_document_that_is_unreadable_today_holds_its_group(corpus, store_uri, monkeypatch):
    """Unchanged, it may be readable tomorrow: its group waits for it."""
    import lloco_core.pipeline as pipeline

    original = pipeline.read_documents

    def unreadable(source, config):
        found = list(original(source, config))
        bad = source.relative_path.endswith("doc-1.txt")
        return [Rejection(source.uri, source.etag, "parse", "parser_timeout", "slow")] if bad else found

    monkeypatch.setattr(pipeline, "read_documents", unreadable)
    ingest(corpus, store_uri, "night-2", encoder="toy-2")
    assert fingerprints(store_uri) == {("north", ENCODER), ("south", "toy-2")}
    monkeypatch.undo()
    ingest(corpus, store_uri, "night-3", encoder="toy-2")
    assert fingerprints(store_uri) == {("north", "toy-2"), ("south", "toy-2")}
    assert len(titles(store_uri)) == 10


def test_a_document_that_moves_into_a_group_that_waits_is_there_once(tmp_path):
    folder, uri = tmp_path / "corpus", str(tmp_path / "store")
    folder.mkdir()

    def write(**groups):
        rows = [{"id": name, "group": group, "text": f"The text of {name}. " * 10} for name, group in groups.items()]
        for row in rows:
            (folder / f"{row['id']}.jsonl").write_text(json.dumps(row))

    write(a="east", b="east", c="west", d="west")
    options = {"id_field": "id", "group_by": "field"}
    ingest(folder, uri, "night-1", options=options)
    for number in range(2, 9):
        ingest(folder, uri, f"night-{number}", encoder="toy-2", options=options, reencode_tokens=300)
        if fingerprints(uri) == {("east", "toy-2"), ("west", ENCODER)}:
            break
    write(a="west")
    for night in ("night-a", "night-b", "night-c"):
        ingest(folder, uri, night, encoder="toy-2", options=options, reencode_tokens=300)
        assert_whole(uri)
    assert {row.doc_id: row.group_id for row in open_night(uri).documents()} == {"a": "west", "b": "east", "c": "west", "d": "west"}
    assert fingerprints(uri) == {("east", "toy-2"), ("west", "toy-2")}
    assert [row["code"] for row in picture(uri)["quarantine"]] == []


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
