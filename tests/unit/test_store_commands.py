"""`lloco rollback` and `lloco forget`: what they ask, print, and change."""

import json

import pytest
from typer.testing import CliRunner

from lloco_core.adapters import plan_adapters
from lloco_core.cli import app
from lloco_core.config import NightlyConfig
from lloco_core.errors import ConfigurationError
from lloco_core.store.nights import publish_night
from lloco_core.store.read import open_night
from tests.unit.store.fixtures import document, ingest, new_store, shard

SECRET, OTHER = document("a/secret.txt", "one two three"), document("a/other.txt", "four five")


@pytest.fixture
def store(tmp_path):
    """A folder store with two nights; the secret document came with the second one."""
    store = new_store(str(tmp_path / "store"))
    for name, found in (("night-1", OTHER), ("night-2", SECRET)):
        ingest(store, shard(f"plan-{name}", 0, [found]), run_id=name)
        store.objects.put(f"_runs/{name}/config.json", b"{}")
        publish_night(store, name)
    return store


def lloco(*arguments, answer=None):
    return CliRunner().invoke(app, list(arguments), input=answer, catch_exceptions=False)


def test_rollback_names_the_new_night(store):
    printed = lloco("rollback", "night-1", "--store", store.root).stdout
    night = open_night(store.root)
    assert printed == f"the newest night is now {night.name}\n"
    assert [row.title for row in night.documents()] == ["a/other.txt"]


def test_forgetting_shows_what_holds_it_and_asks(store):
    refused = lloco("forget", "secret.txt", "--store", store.root, answer="n\n")
    assert refused.exit_code == 1
    assert "1 in segments, version 3, night night-2" in refused.stderr
    assert "Forget them? [y/N]" in refused.stderr
    assert open_night(store.root).name == "night-2"

    done = lloco("forget", "secret.txt", "--store", store.root, "--after-days", "3", answer="y\n")
    assert done.exit_code == 0
    assert f"document {SECRET.doc_id}" in done.stdout
    assert "removed from old versions: due " in done.stdout
    assert [row.title for row in open_night(store.root).documents()] == ["a/other.txt"]
    assert lloco("forget", "--due", "--store", store.root).stdout == "nothing is due\n"


def test_forgetting_now_reports_as_json(store):
    [report] = json.loads(lloco("forget", SECRET.doc_id, "--now", "--yes", "--json", "--store", store.root).stdout)
    assert (report["doc_id"], report["retention_days"]) == (SECRET.doc_id, 0.0)
    assert report["finished_at"] >= report["erased_at"] >= report["forgotten_at"]
    assert {(row["table"], row["night"]) for row in report["rows"]} == {
        (table, "night-2") for table in ("documents", "segments", "passages")
    }


def test_documents_or_due(store):
    for arguments in ([], ["secret.txt", "--due"]):
        with pytest.raises(ConfigurationError, match="documents, or --due without documents"):
            lloco("forget", *arguments, "--store", store.root)


def test_the_group_of_a_forgotten_document_is_trained_again(store):
    config = NightlyConfig(corpus={"uri": "/corpus"}, store={"uri": store.root})
    [before] = plan_adapters(open_night(store.root), config)
    manifest = {"documents": {SECRET.doc_id: "v"}, "encoder_fingerprint": "encoder-1"}
    store.objects.create(f"adapters/{before.adapter_id}/manifest.json", json.dumps(manifest).encode())
    [report] = json.loads(lloco("forget", "secret.txt", "--yes", "--json", "--store", store.root).stdout)
    assert report["adapters"] == [before.adapter_id]
    [after] = plan_adapters(open_night(store.root), config)
    assert after.adapter_id != before.adapter_id
    assert not after.is_trained
