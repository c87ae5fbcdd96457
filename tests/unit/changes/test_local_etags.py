"""Local files that are replaced, touched, moved, and copied: what is read again, and what is encoded. By a for-loop, without Ray."""

import os
import shutil
import tarfile

import pytest

import lloco_core.pipeline as pipeline
from lloco_core.objects import LocalObjects, local, without_place
from lloco_core.store.read import open_night
from lloco_core.types import Rejection
from tests.crash.drill import ENCODER, picture
from tests.crash.loop import ingest
from tests.unit.changes.observed import assert_whole, encoded, forget_log, titles

OLD, NEW = "the price is 100 euro", "the price is 900 euro"


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were read, from now on."""
    names, original = [], pipeline.read_documents

    def noting(source, config):
        names.append(source.relative_path)
        return original(source, config)

    monkeypatch.setattr(pipeline, "read_documents", noting)
    return names


def old_etags(monkeypatch):
    """As they were until inode and ctime came in."""
    monkeypatch.setattr(local, "local_etag", lambda status: f"{status.st_mtime_ns:x}-{status.st_size:x}")


def stamped(path, text):
    path.write_text(text)
    os.utime(path, (10**9, 10**9))
    return path


def by_rename(path, folder):
    stamped(folder / "new", NEW).rename(path)


def in_place(path, folder):
    stamped(path, NEW)


def by_tar(path, folder):
    with tarfile.open(folder / "a.tar", "w") as archive:
        archive.add(stamped(folder / "new", NEW), path.name)
    with tarfile.open(folder / "a.tar") as archive:
        archive.extractall(path.parent, filter="data")


def by_copy(path, folder):
    shutil.copy2(stamped(folder / "new", NEW), path)


def by_link(path, folder):
    path.unlink()
    path.hardlink_to(stamped(folder / "new", NEW))


@pytest.mark.parametrize("replace", [by_rename, in_place, by_tar, by_copy, by_link])
def test_a_replacement_of_equal_size_and_time_is_noticed(tmp_path, replace):
    folder, uri = tmp_path / "corpus" / "g", str(tmp_path / "store")
    folder.mkdir(parents=True)
    path = stamped(folder / "x.txt", OLD)
    ingest(folder.parent, uri, "night-1")
    replace(path, tmp_path)
    assert (path.stat().st_size, path.stat().st_mtime) == (len(OLD), 10**9)
    ingest(folder.parent, uri, "night-2")
    [document] = open_night(uri).documents()
    assert open_night(uri).text(document.doc_id) == NEW
    assert_whole(uri)


def chmod(corpus):
    for path in corpus.glob("*/*"):
        path.chmod(0o640)


def linked(corpus):
    for path in [*corpus.glob("*/*")]:
        (corpus.parent / f"backup-{path.name}").hardlink_to(path)


def copied(corpus):
    shutil.copytree(corpus, corpus.parent / "other disk", copy_function=shutil.copy2)
    shutil.rmtree(corpus)
    (corpus.parent / "other disk").rename(corpus)


@pytest.mark.parametrize("touch", [chmod, linked, copied])
def test_files_that_are_only_touched_are_read_once_and_not_encoded(corpus, store_uri, read, touch):
    before = picture(store_uri)["documents"]
    touch(corpus)
    ingest(corpus, store_uri, "night-2")
    assert len(read) == len([*corpus.glob("*/*")])
    assert encoded(store_uri) == {}
    after = [row for row in picture(store_uri)["documents"] if row["status"] == "active"]
    assert {row["version_id"] for row in after} == {row["version_id"] for row in before}
    assert_whole(store_uri)
    read.clear()
    ingest(corpus, store_uri, "night-3")
    assert read == []


def test_a_store_with_etags_of_time_and_size_is_read_once_and_not_encoded(corpus, tmp_path, read, monkeypatch):
    uri = str(tmp_path / "store")
    with monkeypatch.context() as before:
        old_etags(before)
        ingest(corpus, uri, "night-1")
    forget_log(uri)
    read.clear()
    ingest(corpus, uri, "night-2")
    assert len(read) == len([*corpus.glob("*/*")])
    assert encoded(uri) == {}
    assert len(titles(uri)) == 10
    assert_whole(uri)
    read.clear()
    ingest(corpus, uri, "night-3")
    assert read == []


def test_a_new_encoder_in_the_night_of_the_upgrade_keeps_its_bound(corpus, tmp_path, monkeypatch):
    uri = str(tmp_path / "store")
    with monkeypatch.context() as before:
        old_etags(before)
        ingest(corpus, uri, "night-1")
    forget_log(uri)
    ingest(corpus, uri, "night-2", encoder="toy-2", reencode_tokens=1)
    assert 0 < len(encoded(uri)) < 10
    assert {row.encoder_fingerprint for row in open_night(uri).documents()} == {ENCODER}


@pytest.mark.parametrize("earlier", [True, False])
def test_renamed_files_are_not_taken_for_lost(corpus, tmp_path, monkeypatch, earlier):
    """Half of the corpus is renamed, more than `corpus.delete_rate` lets go."""
    uri = str(tmp_path / "store")
    with monkeypatch.context() as before:
        if earlier:
            old_etags(before)
        ingest(corpus, uri, "night-1")
    forget_log(uri)
    for path in [*(corpus / "north").glob("doc-*")]:
        path.rename(path.with_name(f"new-{path.name}"))
    ingest(corpus, uri, "night-2")
    assert encoded(uri) == {}
    assert len([title for title in titles(uri) if title.startswith("new-")]) == 5


def test_rights_taken_while_groups_change_over_do_not_cost_a_document(corpus, store_uri, monkeypatch):
    """Its ctime changed and it cannot be read today: it is not a changed document, its group waits."""
    original = pipeline.read_documents

    def unreadable(source, config):
        bad = source.relative_path.endswith("doc-1.txt")
        return [Rejection(source.uri, source.etag, "read", "unreadable", "denied")] if bad else list(original(source, config))

    (corpus / "north" / "doc-1.txt").chmod(0o200)
    with monkeypatch.context() as denied:
        denied.setattr(pipeline, "read_documents", unreadable)
        ingest(corpus, store_uri, "night-2", encoder="toy-2")
    assert "doc-1" in titles(store_uri)
    (corpus / "north" / "doc-1.txt").chmod(0o600)
    ingest(corpus, store_uri, "night-3", encoder="toy-2")
    assert {row.encoder_fingerprint for row in open_night(store_uri).documents()} == {"toy-2"}
    assert len(titles(store_uri)) == 10


@pytest.mark.parametrize(
    "etag", ["9e107d9d372bb6826bd81d3542a419d6", "9e107d9d372bb6826bd81d3542a419d6-12", "missing", "unreadable", "1-2"]
)
def test_only_local_etags_have_a_place(etag, tmp_path):
    assert without_place(etag) == etag
    path = stamped(tmp_path / "a", OLD)
    os.utime(path, (-5, -5))
    found = LocalObjects(str(tmp_path)).stat("a").etag
    assert without_place(found) == f"{path.stat().st_mtime_ns:x}-{len(OLD):x}"
    assert without_place(f"{found}-0123abcd") == f"{without_place(found)}-0123abcd"  # of a manifest with metadata
