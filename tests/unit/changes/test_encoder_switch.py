"""Nights with another encoder: staged beside the old vectors, switched group by group. By a for-loop, without Ray."""

import json
from collections import Counter

import pytest

from lloco_core.store.read import open_night
from lloco_core.store.switching import MARKER
from lloco_core.store.tables import Store
from lloco_core.types import Rejection
from tests.crash.drill import ENCODER, picture
from tests.crash.loop import ingest
from tests.unit.changes.observed import assert_whole, encoded, titles


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
