"""Listing and reading folders and buckets. Run: pytest tests/unit/corpus/test_sources.py"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.reading import read_documents
from lloco_core.corpus.sources import UnreadableObjectError, list_corpus, read_object
from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.settings import settings
from lloco_core.types import SourceObject


def paths(root: Path | str, **options) -> list[str]:
    return [source.relative_path for source in list_corpus(CorpusConfig(uri=str(root), **options))]


def test_folder_is_listed_sorted_without_hidden_and_temporary_files(folder):
    root = folder(dict.fromkeys(("b.txt", "a/z.txt", "a/.hidden.txt", ".git/config", ".writing-abc", "~$b.docx", "a.txt"), b"x"))
    assert paths(root) == ["a.txt", "a/z.txt", "b.txt"]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (("**/*.md",), (), ["a.md", "x/b.md", "x/y/c.md"]),
        (("*.md",), (), ["a.md"]),
        (("x/**",), (), ["x/b.md", "x/y/c.md", "x/y/d.txt"]),
        (("**",), ("x/y/**",), ["a.md", "x/b.md"]),
        (("x/**/*.md", "**/d.*"), ("**/b.md",), ["x/y/c.md", "x/y/d.txt"]),
    ],
)
def test_patterns_select_by_relative_path(folder, include, exclude, expected):
    root = folder({"a.md": b"1", "x/b.md": b"2", "x/y/c.md": b"3", "x/y/d.txt": b"4"})
    assert paths(root, include=include, exclude=exclude) == expected


def test_invalid_pattern_is_named(folder):
    with pytest.raises(ConfigurationError, match=r"\*\*\.md"):
        paths(folder({"a.md": b"1"}), include=("**.md",))


def test_names_with_spaces_percent_and_other_scripts_are_read_back(folder):
    names = ["a b.txt", "100%.txt", "ünï/日本 語.txt", "what?#1.txt"]
    root = folder({name: name.encode() for name in names})
    found = {source.relative_path: read_object(source).decode() for source in list_corpus(CorpusConfig(uri=str(root)))}
    assert found == {name: name for name in names}


def test_a_file_name_that_is_not_utf8_is_read_back(folder):
    root = folder({})
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt"))).write_bytes(b"body")
    (source,) = list_corpus(CorpusConfig(uri=str(root)))
    assert (source.relative_path, source.uri.endswith("/caf%E9.txt"), read_object(source)) == ("caf\ufffd.txt", True, b"body")


def test_etag_changes_with_the_content(folder):
    root = folder({"a.txt": b"one"})
    (before,) = list_corpus(CorpusConfig(uri=str(root)))
    (root / "a.txt").write_bytes(b"longer")
    (after,) = list_corpus(CorpusConfig(uri=str(root)))
    assert (before.uri, before.size, after.size) == (after.uri, 3, 6)
    assert before.etag != after.etag


def test_links_inside_the_corpus_are_read_and_links_out_of_it_are_refused(folder, tmp_path):
    root = folder({"sub/a.txt": b"inside"})
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (root / "sub/in.txt").symlink_to(root / "sub/a.txt")
    (root / "sub/out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "sub/gone.txt").symlink_to(root / "nothing.txt")
    sources = {source.relative_path: source for source in list_corpus(CorpusConfig(uri=str(root)))}
    assert read_object(sources["sub/in.txt"]) == b"inside"
    with pytest.raises(UnreadableObjectError, match="outside the corpus folder"):
        read_object(sources["sub/out.txt"])
    with pytest.raises(UnreadableObjectError, match="No such file"):
        read_object(sources["sub/gone.txt"])


def test_a_pipe_is_refused_instead_of_waited_for(folder):
    root = folder({})
    os.mkfifo(root / "pipe.txt")
    (source,) = list_corpus(CorpusConfig(uri=str(root)))
    with pytest.raises(UnreadableObjectError, match="not a regular file"):
        read_object(source)


def test_empty_folder_says_what_was_looked_for(folder):
    root = folder({"a.txt": b"x"})
    with pytest.raises(ConfigurationError, match=r"no documents found under .*corpus.*1 files listed.*include patterns \['\*\*/\*\.pdf'\]"):
        paths(root, include=("**/*.pdf",))
    (root / "a.txt").unlink()
    with pytest.raises(ConfigurationError, match=r"no documents found under .*0 files listed"):
        paths(root)


def test_missing_folder_and_single_file_are_explained(folder):
    root = folder({"a.txt": b"x"})
    with pytest.raises(StorageError, match="does not exist"):
        paths(root / "nowhere")
    with pytest.raises(ConfigurationError, match="is a file; give its folder"):
        paths(root / "a.txt")


def test_large_object_is_rejected_without_being_read(folder):
    root = folder({"line.txt": b""})
    os.truncate(root / "line.txt", 50 * 2**20)  # sparse: 50 MB on one line
    config = CorpusConfig(uri=str(root))
    (source,) = list_corpus(config)
    (root / "line.txt").unlink()  # reading it would now be `unreadable`
    (rejection,) = read_documents(source, config)
    assert (rejection.code, rejection.stage) == ("too_large", "list")
    assert "52428800" in rejection.message


def test_removed_object_is_a_rejection(folder):
    root = folder({"a.txt": b"x"})
    config = CorpusConfig(uri=str(root))
    (source,) = list_corpus(config)
    (root / "a.txt").unlink()
    (rejection,) = read_documents(source, config)
    assert (rejection.code, rejection.stage, rejection.uri) == ("unreadable", "read", source.uri)


def test_bucket_prefix_is_listed_and_read(s3):
    bodies = {"corpus/b c/ü#1.txt": "zwei", "corpus/a.txt": "eins", "corpus/.tmp": "-", "other/x.txt": "-", "corpus/dir/": ""}
    for key, body in bodies.items():
        s3.put_object(Bucket="docs", Key=key, Body=body.encode())
    config = CorpusConfig(uri="s3://docs/corpus")
    sources = list(list_corpus(config))
    assert [(source.relative_path, source.uri) for source in sources] == [
        ("a.txt", "s3://docs/corpus/a.txt"),
        ("b c/ü#1.txt", "s3://docs/corpus/b c/ü#1.txt"),
    ]
    assert [document.text for source in sources for document in read_documents(source, config)] == ["eins", "zwei"]
    s3.put_object(Bucket="docs", Key="corpus/a.txt", Body=b"changed")
    assert next(list_corpus(config)).etag != sources[0].etag


def test_missing_bucket_and_empty_prefix_are_explained(s3):
    with pytest.raises(StorageError, match="NoSuchBucket; create the bucket or correct the URI"):
        paths("s3://no-such-bucket/corpus")
    with pytest.raises(ConfigurationError, match="no documents found under s3://docs/empty"):
        paths("s3://docs/empty")


def test_missing_object_is_its_own_fault_but_a_missing_bucket_is_not(s3):
    with pytest.raises(UnreadableObjectError, match="NoSuchKey"):
        read_object(SourceObject("s3://docs/gone.txt", "e", 1, "gone.txt"))
    with pytest.raises(StorageError, match="NoSuchBucket") as raised:
        read_object(SourceObject("s3://no-such-bucket/gone.txt", "e", 1, "gone.txt"))
    assert not isinstance(raised.value, UnreadableObjectError)


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_unreadable_bucket_names_the_credentials(s3, monkeypatch):
    from moto import settings as moto_settings
    from moto.core.responses import ActionAuthenticatorMixin

    with monkeypatch.context() as checked:
        checked.setattr(moto_settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0.0)  # every request is checked
        checked.setattr(ActionAuthenticatorMixin, "request_count", 0)
        with pytest.raises(StorageError, match=r"s3://docs/corpus.*InvalidAccessKeyId; check AWS_ACCESS_KEY_ID"):
            paths("s3://docs/corpus")


def test_unreachable_endpoint_is_an_outage_not_a_quarantine(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LLOCO_S3_OUTAGE_SECONDS", "0")
    settings.cache_clear()
    source = SourceObject("s3://docs/a.txt", "e", 1, "a.txt")
    with pytest.raises(StorageError, match="check AWS_ENDPOINT_URL"):
        list(read_documents(source, CorpusConfig(uri="s3://docs")))
