"""Names and ids that try to be something else (paths, SQL, markup, terminal codes) through whole nights, the registry, and the console.

Nothing is written outside the store, every readable document comes back, and what is shown cannot act.
"""

import json
import re
import unicodedata

import pytest
from typer.testing import CliRunner

from lloco_core.cli import app
from lloco_core.corpus.decoding import normalise_text
from lloco_core.errors import StorageError
from lloco_core.objects import open_objects
from lloco_core.registry.active import activate, active_adapter
from lloco_core.registry.candidates import adapter_name
from lloco_core.store.read import open_night
from lloco_core.store.tables import Store
from tests.conftest import BUCKET
from tests.crash.loop import ingest

NAMES = [
    "%2e%2e%2f..%2fx",
    "%2e%2e",
    "a\\..\\..\\x",
    "a..",
    "line\nbreak",
    "\x1b[31mred\x07",
    "right\u202eto left",
    "#fragment?query=1%",
    "\U0001f600",
    "it's",
    "'; DROP TABLE documents; --",
    "\\'",
    "CON",
    "_plans",
    "[/b][link=http://evil]|<b>",
    "$(id)`id`",
    "-rf",
    "x" * 240,
    "Legal",
    "legal",
    "legal-0123456789",
    "cluster-00",
    "ungrouped",
    "\u00e9",
    "e\u0301",
    " blank ",
]
"""Each is a folder, and so a group, and a file in it."""

KEYS = ["../../up.txt", "a/../../../up.txt", "./here.txt"]
"""Keys that S3 takes literally and other programs do not."""

IDS = ["it's", "' OR 1=1 --", "Id", "id", "\u00e9", "e\u0301", "100%", "*", "_plans"]
REFUSED_IDS = ["../x", "a/b", "a\\b", "..", "nul\x00", "line\n", "\u202e", "x" * 257, "", True]


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    """Where corpora and stores lie; and a function that lists everything there with its content."""
    if request.param == "folder":
        root = str(tmp_path / "place")
        return root, lambda: {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    client = request.getfixturevalue("s3")
    root = f"s3://{BUCKET}/{tmp_path.name}"
    objects = open_objects(f"s3://{BUCKET}")
    assert client

    def everything():
        return {objects.uri(item.key): item.etag for item in objects.list()}

    return root, everything


def test_hostile_names_of_folders_and_files(place, tmp_path):
    root, everything = place
    names = [name for name in NAMES if not ("://" in root and "\n" in name)]  # moto knows no key with a line end
    corpus = open_objects(f"{root}/corpus")
    for name in names:
        corpus.put(f"{name}/{name}.txt", f"first text of {name}".encode())
    before = everything()
    ingest(corpus.root, f"{root}/store", "night-1", shard_objects=10)
    assert_only_the_store_changed(root, before, everything())
    assert_all_there(root, "first", names)

    for name in names:
        corpus.put(f"{name}/{name}.txt", f"second text of {name}".encode())
    before = everything()
    ingest(corpus.root, f"{root}/store", "night-2", shard_objects=10)
    assert_only_the_store_changed(root, before, everything())
    assert_all_there(root, "second", names)
    assert_shown_without_effect(root)


def assert_only_the_store_changed(root, before, after):
    changed = {name for name, content in after.items() if before.get(name) != content}
    assert set(before) <= set(after)
    assert [name for name in changed if not name.startswith((f"{root}/store/", f"{root}/store.encoded"))] == []


def assert_all_there(root, word, names):
    night = open_night(f"{root}/store")
    documents = night.documents()
    texts = sorted(night.text(document.doc_id) for document in documents)
    assert texts == sorted(normalise_text(f"{word} text of {name}") for name in names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", document.group_id) for document in documents)
    assert len(night.groups()) == len(names) - 1  # two spellings of one character are one group
    assert not {"ungrouped", "cluster-00", "legal-0123456789"} & set(night.groups())
    assert night.table("segments").count_rows() == sum(document.n_segments for document in documents)
    assert all(night.table("passages").count_rows(f"version_id = '{document.version_id}'") for document in documents)


def assert_shown_without_effect(root):
    night = open_night(f"{root}/store")
    documents = night.documents()[:2] if "://" in root else night.documents()
    arguments = [["status"], *(["inspect", document.doc_id] for document in documents)]
    for argument in arguments:
        shown = CliRunner().invoke(app, [*argument, "--store", f"{root}/store"])
        assert shown.exit_code == 0, (argument, shown.exception)
        acting = {char for char in shown.output if unicodedata.category(char) in ("Cc", "Cf") and char != "\n"}
        assert not acting, (argument, acting)


def test_keys_that_lead_upwards_are_quarantined(s3, tmp_path):
    corpus, store_uri = f"{tmp_path.name}/corpus", f"s3://{BUCKET}/{tmp_path.name}/store"
    for key in [*KEYS, "fine/a.txt"]:
        s3.put_object(Bucket=BUCKET, Key=f"{corpus}/{key}", Body=b"some text")
    ingest(f"s3://{BUCKET}/{corpus}", store_uri, "night-1")
    quarantine = Store(store_uri).dataset("quarantine").to_table().to_pylist()
    assert {row["uri"] for row in quarantine} == {f"s3://{BUCKET}/{corpus}/{key}" for key in KEYS}
    assert {row["code"] for row in quarantine} == {"unreadable"}
    assert [document.uri for document in open_night(store_uri).documents()] == [f"s3://{BUCKET}/{corpus}/fine/a.txt"]


def test_hostile_document_ids(place):
    root, everything = place
    corpus = open_objects(f"{root}/corpus")
    ids = [*IDS, *REFUSED_IDS]
    for night in ("first", "second"):
        for number in range(len(ids)):
            corpus.put(f"docs/{number}.txt", f"{night} text {number}".encode())
        rows = [json.dumps({"uri": f"docs/{number}.txt", "doc_id": doc_id}) for number, doc_id in enumerate(ids)]
        corpus.put("list.jsonl", "\n".join(rows).encode())
        before = everything()
        ingest(f"{root}/corpus/list.jsonl", f"{root}/store", night, shard_objects=10)
        assert_only_the_store_changed(root, before, everything())
        found = open_night(f"{root}/store")
        assert {document.doc_id: found.text(document.doc_id) for document in found.documents()} == {
            doc_id: f"{night} text {number}" for number, doc_id in enumerate(IDS)
        }
        refused = Store(f"{root}/store").dataset("quarantine").to_table().to_pylist()
        assert [row["code"] for row in refused] == ["id_invalid"] * len(REFUSED_IDS)


@pytest.mark.parametrize("group", ["../../outside", "/absolute/../..", "a/../../b", "nul\x00"])
def test_a_group_that_is_no_name_reaches_no_registry(place, group):
    root, everything = place
    objects = open_objects(f"{root}/store")
    objects.put("registry/fine/00000001.json", b"{}")
    before = everything()
    for act in (lambda: activate(objects, group, adapter_name(group, {})), lambda: objects.put(f"registry/{group}/x", b"")):
        with pytest.raises(StorageError, match="may lead out of"):
            act()
    assert everything() == before


def test_hostile_groups_are_activated_side_by_side(place):
    from lloco_core.corpus.groups import group_name

    root, _ = place
    open_objects(f"{root}/store").put("seed", b"")
    objects = open_objects(f"{root}/store")
    groups = {group_name(name) for name in NAMES}
    for group in groups:
        activate(objects, group, adapter_name(group, {"group": group}))
    assert {active_adapter(objects, group).adapter_id for group in groups} == {adapter_name(group, {"group": group}) for group in groups}
