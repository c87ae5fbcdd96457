"""Forgetting a document: gone from tables, indices, and objects at once, from old versions after the retention."""

import io
import json
from datetime import UTC, datetime, timedelta

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lloco_core.errors import CommitError, StorageError
from lloco_core.finetune.rows import write_examples
from lloco_core.retrieval.search import search_passages
from lloco_core.store.commit import begin_plan
from lloco_core.store.forgetting import erase, forget, purge
from lloco_core.store.forgetting.forget import erase_interrupted, preview
from lloco_core.store.forgetting.forgotten import find_forgotten, forgotten_names, name_hash
from lloco_core.store.forgetting.purge import finish_forgetting, forget_and_finish
from lloco_core.store.index import build_indices
from lloco_core.store.nights import nights_that_open, publish_night
from lloco_core.store.read import open_night
from lloco_core.store.status import store_status
from lloco_core.store.tables import CONTENT_TABLES
from lloco_core.types import Example, Rejection
from tests.unit.store.fixtures import DIMENSION, document, ingest, lease, rows, shard
from tests.unit.store.test_night_adapters import put_adapter

PHRASE = "the quokka signed treaty 4711 in secret"
SECRET = document("private/zebra-letter.txt", f"first words here {PHRASE}")
OTHERS = [document(f"a/{number}.txt", f"plain text number {number} stays") for number in range(3)]
LATER = timedelta(days=8)


@pytest.fixture
def corpus(store):
    """Three nights: one before the secret document came, one with it, one with a later version of it; and what training left."""
    ingest(store, shard("p1", 0, OTHERS[:2]))
    build_indices(store)
    publish(store, "night-1")
    bad = Rejection(SECRET.uri, "e0", "parse", "empty", f"{SECRET.uri} was empty once")
    ingest(store, shard("p2", 0, [SECRET], rejections=[bad]), run_id="night-2")
    build_indices(store)
    put_adapter(store, "a", 1, documents=[item.doc_id for item in OTHERS[:2]])
    trained = put_adapter(store, "a", 2, documents=[SECRET.doc_id, OTHERS[0].doc_id])
    publish(store, "night-2")
    changed = document("private/zebra-letter.txt", f"{PHRASE} and more", etag="e2")
    ingest(store, shard("p3", 0, [changed, OTHERS[2]], known=[SECRET]), run_id="night-3")
    build_indices(store)
    publish(store, "night-3")
    leave_training_behind(store, trained)
    return trained


def publish(store, name):
    store.objects.put(f"_runs/{name}/config.json", b"{}")
    publish_night(store, name)


def leave_training_behind(store, trained):
    examples = [Example(SECRET.doc_id, "What was signed?", PHRASE), Example(OTHERS[0].doc_id, "What stays?", "plain text")]
    write_examples(f"{store.root}/_training/{trained}.parquet", examples)
    store.objects.put(f"_training/{trained}/checkpoint_1/adapter.bin", PHRASE.encode())
    store.objects.put(f"_candidates/{trained}/adapter_model.safetensors", PHRASE.encode())
    store.objects.put(f"_candidates/{trained}/candidate.json", json.dumps({"documents": {SECRET.doc_id: "v"}}).encode())
    store.objects.put("_training/other--1/checkpoint_1/adapter.bin", b"kept")
    answers = [{"group": "a", "source_uri": SECRET.uri, "answer": PHRASE}, {"group": "b", "source_uri": "file:///b", "answer": "kept"}]
    answers.append({"question": f"Who signed {PHRASE}?", "failure": "RuntimeError: no memory"})
    store.objects.put("_runs/night-3/summary.json", json.dumps({"run_id": "night-3", "examples": answers}).encode())


def files_with(store, *needles):
    """Keys of all files of a store that have one of the words somewhere in their bytes."""
    found = {item.key: store.objects.get(item.key) for item in store.objects.list("")}
    return {key for key, data in found.items() if any(needle.encode() in data for needle in needles)}


def search(store, words):
    return [hit.text for hit in search_passages(open_night(store.root), words, np.ones(DIMENSION, np.float32), 3)]


def forget_now(store, days=7.0):
    [item] = forget_and_finish(store, [preview(store, "zebra-letter.txt", days)])
    return item


def test_a_forgotten_document_is_gone_at_once_and_for_good_after_the_retention(store, corpus):
    held = files_with(store, PHRASE, SECRET.uri)
    places = {"documents.lance", "passages.lance", "quarantine.lance", "_candidates", "_runs", "_plans"}
    assert {key.partition("/")[0] for key in held} >= places
    item = forget_now(store)

    assert [hit for hit in search(store, "quokka") if "quokka" in hit] == []
    night = open_night(store.root)
    assert night.name.startswith("forget-")
    assert night.document(SECRET.doc_id) is None
    assert night.groups() == {"a": 3}
    assert store.objects.stat(f"_runs/{night.name}/config.json")
    old_files = files_with(store, PHRASE, SECRET.uri)
    for table in CONTENT_TABLES:
        assert rows(store, table, f"doc_id = '{SECRET.doc_id}'") == []
        files = [file.path for fragment in store.dataset(table).get_fragments() for file in fragment.data_files()]
        assert not old_files & {f"{table}.lance/data/{name}" for name in files}
    assert rows(store, "quarantine") == []
    assert PHRASE in open_night(store.root, "night-2").text(SECRET.doc_id)  # until the retention is over
    assert finish_forgetting(store, datetime.now(UTC)) == []

    [done] = finish_forgetting(store, datetime.now(UTC) + LATER)
    assert (done.doc_id, done.clean_night) == (item.doc_id, night.name)
    assert files_with(store, PHRASE, "quokka", SECRET.uri, "zebra-letter") == set()
    assert [row["run_id"] for row in nights_that_open(store)] == ["night-1", night.name]
    assert open_night(store.root, "night-1").text(OTHERS[0].doc_id) == OTHERS[0].text
    assert [open_night(store.root).text(other.doc_id) for other in OTHERS] == [other.text for other in OTHERS]
    assert any(hit.startswith("plain text number") for hit in search(store, "number"))
    with pytest.raises(StorageError, match=r"night 'night-2' .* was cleaned up; `lloco status`"):
        open_night(store.root, "night-2")
    assert finish_forgetting(store, datetime.now(UTC) + LATER) == []


def often(*points):
    """Kill points that only the slow run tries."""
    return [pytest.param(point, marks=pytest.mark.real) for point in points]


class TestInAFolder:
    """What does not depend on where the tables lie."""

    @pytest.fixture
    def store_uri(self, tmp_path):
        return str(tmp_path / "store")

    def test_indices_are_built_anew_without_it(self, store, corpus):
        """A fragment that held nothing but the document goes with the delete: its words and its id would stay in the indices."""
        forget_now(store)
        for table in CONTENT_TABLES:
            segments = [segment for index in store.dataset(table).describe_indices() for segment in index.segments]
            assert segments
            for segment in segments:
                seen = store.dataset(table, segment.dataset_version_at_last_update)
                assert seen.count_rows(f"doc_id = '{SECRET.doc_id}'") == 0
            folders = tuple(f"{table}.lance/_indices/{segment.uuid}/" for segment in segments)
            assert not [key for key in files_with(store, SECRET.doc_id) if key.startswith(folders)]

    def test_the_report_says_what_held_it_without_saying_what_it_was(self, store, corpus):
        item = forget_now(store)
        assert {(row.table, row.night, row.rows) for row in item.rows} == {
            ("documents", "night-2", 1),
            ("segments", "night-2", 3),
            ("passages", "night-2", 3),
            ("documents", "night-3", 2),  # the superseded version too
            ("segments", "night-3", 3),
            ("passages", "night-3", 3),
        }
        assert item.adapters == (corpus,)
        assert set(item.objects) == {
            f"_training/{corpus}.parquet",
            f"_training/{corpus}/checkpoint_1/adapter.bin",
            f"_candidates/{corpus}/adapter_model.safetensors",
            f"_candidates/{corpus}/candidate.json",
            "_runs/night-3/summary.json",
        }
        [record, report] = [found.key for found in store.objects.list("_forgotten/")]
        kept = store.objects.get(record) + store.objects.get(report)
        assert not any(secret.encode() in kept for secret in (SECRET.uri, "zebra", "quokka"))
        assert f"3 in passages, version {open_night(store.root, 'night-2').versions['passages']}, night night-2" in kept.decode()
        assert forgotten_names(store.objects) == {name_hash(SECRET.uri), name_hash(SECRET.doc_id)}
        assert find_forgotten(store.objects, SECRET.doc_id) == item

    def test_objects_lose_what_they_hold_of_it_and_keep_the_rest(self, store, corpus):
        forget_now(store)
        assert [found.key for found in store.objects.list("_candidates/")] == []
        assert [found.key for found in store.objects.list("_training/")] == [
            f"_training/{corpus}.parquet",
            "_training/other--1/checkpoint_1/adapter.bin",
        ]
        questions = pq.read_table(io.BytesIO(store.objects.get(f"_training/{corpus}.parquet")))
        assert questions["doc_id"].to_pylist() == [OTHERS[0].doc_id]
        summary = json.loads(store.objects.get("_runs/night-3/summary.json"))
        assert (summary["run_id"], [answer["answer"] for answer in summary["examples"]]) == ("night-3", ["kept"])

    def test_status_says_which_adapters_to_train_again_and_what_is_pending(self, store, corpus):
        columns = {"group_id": "a", "encoder_fingerprint": "encoder-1", "metrics": "{}", "status": "registered"}
        records = [columns | {"adapter_id": f"a--{number:012d}", "created_at": datetime.now(UTC)} for number in (1, 2)]
        add_rows(store, "adapters", records)
        item = forget_now(store)
        status = store_status(store.root)
        assert [row["to do"] for row in status.adapters] == ["", "retrain: trained on forgotten document"]
        put_adapter(store, "a", 3)
        assert [row["to do"] for row in store_status(store.root).adapters] == ["", "trained on forgotten document"]
        assert status.warnings == [
            f"document {SECRET.doc_id} is forgotten; old versions hold it until maintenance after {item.due_at:%Y-%m-%d %H:%M} UTC"
        ]
        assert [row["night"] for row in status.nights][-1] == item.clean_night

    def test_forgetting_now_removes_old_versions_too(self, store, corpus):
        forget_now(store)
        shortened = forget_now(store, 0.0)  # known already: found in the nights that still hold it
        assert shortened.finished_at
        assert files_with(store, PHRASE, "quokka", SECRET.uri) == set()

    def test_what_a_crashed_run_wrote_without_committing_goes_too(self, store, corpus):
        from tests.unit.store.fixtures import write

        write(store, shard("p9", 0, [SECRET]))  # fragments, and a record of a plan that is not open
        forget_now(store, 0.0)
        assert files_with(store, PHRASE, SECRET.uri) == set()

    @pytest.mark.parametrize("step", [*often("delete", "rewrite", "indices"), "quarantine", *often("publish", "objects")])
    def test_killed_while_erasing_the_next_run_finishes(self, store, corpus, monkeypatch, step):
        owner, name = {
            "delete": (erase, "holds_physically"),
            "rewrite": (erase, "rebuild_indices"),
            "indices": (forget, "erase_quarantined"),
            "quarantine": (forget, "publish_successor"),
            "publish": (forget, "clear_plans"),
            "objects": (forget, "trained_adapters"),
        }[step]
        owner = forget if step == "rewrite" else owner
        found = preview(store, "zebra-letter.txt")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, name, killed)
            forget_and_finish(store, [found])
        assert open_night(store.root).name == "night-3" or step in ("publish", "objects")
        with lease(store) as held:
            erase_interrupted(store, held)
        item = find_forgotten(store.objects, SECRET.doc_id)
        assert (item.rows, item.adapters, item.clean_night) == (found.rows, (corpus,), open_night(store.root).name)
        assert open_night(store.root).groups() == {"a": 3}
        finish_forgetting(store, datetime.now(UTC) + LATER)
        assert files_with(store, PHRASE, "quokka", SECRET.uri) == set()

    @pytest.mark.parametrize(
        "name", ["_clean_tables", *often("_drop_left_over_tags", "_refuse_leftovers", "clear_objects", "save_forgotten")]
    )
    def test_killed_while_removing_old_versions_the_next_run_finishes(self, store, corpus, monkeypatch, name):
        forget_now(store)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(purge, name, killed)
            finish_forgetting(store, datetime.now(UTC) + LATER)
        [done] = finish_forgetting(store, datetime.now(UTC) + LATER)
        assert done.finished_at
        assert files_with(store, PHRASE, "quokka", SECRET.uri) == set()

    def test_a_document_that_was_never_read_leaves_the_quarantine(self, store, corpus):
        never = Rejection("file:///corpus/private/never-read.pdf", "e1", "parse", "pdf_damaged", "page 1 of never-read.pdf is damaged")
        ingest(store, shard("p4", 0, [], rejections=[never]))
        [item] = forget_and_finish(store, [preview(store, "never-read.pdf", 0.0)])
        assert [(row.table, row.rows) for row in item.rows] == [("quarantine", 1)]
        assert rows(store, "quarantine") == []
        assert files_with(store, "never-read") == set()
        assert name_hash(never.uri) in forgotten_names(store.objects)

    def test_an_open_plan_is_finished_first(self, store, corpus):
        found = preview(store, SECRET.uri, 0.0)
        begin_plan(store, "p9", "run-9", 1)
        with pytest.raises(CommitError, match="plan p9 of run run-9 is unfinished; run the ingest again"):
            forget_and_finish(store, [found])
        assert find_forgotten(store.objects, SECRET.doc_id) is None

    def test_the_last_document_of_a_store_can_be_forgotten(self, store):
        ingest(store, shard("p1", 0, [SECRET]))
        build_indices(store)
        publish(store, "night-1")
        assert forget_now(store, 0.0).finished_at
        assert files_with(store, PHRASE, SECRET.uri) == set()
        assert open_night(store.root).documents() == search(store, "quokka") == []
        ingest(store, shard("p2", 0, OTHERS))
        build_indices(store)
        publish(store, "night-2")
        assert len(search(store, "number")) == 3

    def test_what_cannot_be_found_is_named(self, store, corpus):
        with pytest.raises(StorageError, match=r"0 documents .* match 'nobody'"):
            preview(store, "nobody")
        with pytest.raises(StorageError, match=r"4 documents .* match '\.txt'; give a document id or a whole URI"):
            preview(store, ".txt")


def killed(*_, **__):
    raise KeyboardInterrupt


def add_rows(store, table, records):
    uri = store.table_uri(table)
    lance.write_dataset(pa.Table.from_pylist(records, schema=store.dataset(table).schema), uri, mode="append")
