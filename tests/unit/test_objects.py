"""Objects in a folder and on S3: the same behaviour, the same clear errors."""

import os
import socket
import stat
import threading

import pytest

from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.objects import LocalObjects, S3Objects, canonical_root, open_objects
from lloco_core.objects.local import WRITING
from lloco_core.settings import settings
from tests.conftest import BUCKET
from tests.unit.store.fixtures import store_uri

__all__ = ["store_uri"]


@pytest.fixture
def objects(store_uri):
    found = open_objects(store_uri)
    found.put("first.txt", b"first")
    return found


def test_put_get_stat_and_delete(objects):
    objects.put("a/b.txt", b"one")
    before = objects.stat("a/b.txt")
    assert (before.key, before.size) == ("a/b.txt", 3)
    assert objects.get("a/b.txt") == b"one"
    objects.put("a/b.txt", b"three")
    assert objects.get("a/b.txt") == b"three"
    assert objects.stat("a/b.txt").etag != before.etag
    objects.delete("a/b.txt")
    objects.delete("a/b.txt")
    assert objects.stat("a/b.txt") is None
    with pytest.raises(StorageError, match=r"a/b\.txt.*exist"):
        objects.get("a/b.txt")


def test_listing_is_sorted_and_by_prefix(objects):
    for key in ("b/2", "b/10", "a", "b.x", "c/d/e"):
        objects.put(key, key.encode())
    assert [item.key for item in objects.list()] == ["a", "b.x", "b/10", "b/2", "c/d/e", "first.txt"]
    assert [item.key for item in objects.list("b/")] == ["b/10", "b/2"]
    assert [item.key for item in objects.list("b")] == ["b.x", "b/10", "b/2"]
    assert list(objects.list("nothing/here/")) == []
    assert [(item.etag, item.size) for item in objects.list("a")] == [(objects.stat("a").etag, 1)]


def test_of_eight_creators_exactly_one_wins(objects):
    ready, won = threading.Barrier(8), []

    def create(number):
        ready.wait()
        if objects.create("race", b"%d" % number):
            won.append(number)

    for _ in range(3):
        won.clear()
        objects.delete("race")
        threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert objects.get("race") == b"%d" % won[0]
    assert [item.key for item in objects.list()] == ["first.txt", "race"]


def test_create_never_replaces(objects):
    assert objects.create("x/y", b"1") is True
    assert objects.create("x/y", b"2") is False
    assert objects.get("x/y") == b"1"


@pytest.mark.parametrize("name", ["a#b", "a?b=1", "per%20cent", "two words", "naïve"])
def test_root_and_keys_with_url_characters_are_taken_literally(s3, tmp_path, name):
    remote, local = open_objects(f"s3://{BUCKET}/{name}/"), open_objects(str(tmp_path / name))
    for found in (remote, local):
        found.put(f"{name}.txt", b"here")
        assert [item.key for item in found.list()] == [f"{name}.txt"]
    assert remote.root == canonical_root(remote.root) == f"s3://{BUCKET}/{name}"
    assert remote.uri("k") == f"s3://{BUCKET}/{name}/k"
    assert s3.get_object(Bucket=BUCKET, Key=f"{name}/{name}.txt")["Body"].read() == b"here"
    assert (tmp_path / name / f"{name}.txt").read_bytes() == b"here"
    assert open_objects(local.uri("")).get(f"{name}.txt") == b"here"  # the canonical file:// URI of the same folder


def test_canonical_roots(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert canonical_root("store/") == str(tmp_path / "store")
    assert canonical_root(f"file://{tmp_path}/a%20b") == str(tmp_path / "a b")
    assert canonical_root("s3://bucket") == canonical_root("s3://bucket/") == "s3://bucket"
    assert canonical_root("s3://bucket//a/b//") == "s3://bucket/a/b"


@pytest.mark.parametrize(("root", "message"), [("gs://bucket/x", "scheme 'gs'.*s3://bucket/prefix"), ("s3:///x", "names no bucket")])
def test_roots_that_cannot_be_opened(root, message):
    with pytest.raises(ConfigurationError, match=message):
        open_objects(root)


def test_temporary_files_are_not_listed_and_files_obey_the_umask(tmp_path):
    objects = LocalObjects(str(tmp_path))
    (tmp_path / f"{WRITING}left-by-a-crash").write_bytes(b"half")
    old = os.umask(0o022)
    try:
        objects.put("put", b"1")
        objects.create("created", b"1")
    finally:
        os.umask(old)
    assert [item.key for item in objects.list()] == ["created", "put"]
    assert {stat.S_IMODE((tmp_path / key).stat().st_mode) for key in ("created", "put")} == {0o644}  # servers run as other users
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{WRITING}left-by-a-crash", "created", "put"]


def test_local_failures_name_path_and_next_step(tmp_path):
    with pytest.raises(StorageError, match=r"folder .*missing does not exist; check the path"):
        list(LocalObjects(str(tmp_path / "missing")).list())
    objects = LocalObjects(str(tmp_path))
    objects.put("folder/file", b"1")
    for write in (objects.put, objects.create):
        with pytest.raises(StorageError, match=r"cannot write .*folder/file/below.*check permissions"):
            write("folder/file/below", b"2")
    with pytest.raises(StorageError, match=r"cannot write .*folder: .*check permissions"):
        objects.put("folder", b"2")
    with pytest.raises(StorageError, match=r"cannot delete .*folder: .*check permissions"):
        objects.delete("folder")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "file"]  # no temporary file stays


def test_missing_bucket_is_named(s3):
    objects = open_objects("s3://no-such-bucket-here/prefix")
    for act in (lambda: list(objects.list()), lambda: objects.put("k", b""), lambda: objects.create("k", b""), lambda: objects.get("k")):
        with pytest.raises(StorageError, match=r"s3://no-such-bucket-here/prefix.*NoSuchBucket; create the bucket or correct the URI"):
            act()


def test_wrong_endpoint_is_named(s3, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    settings.cache_clear()
    objects = open_objects(f"s3://{BUCKET}/prefix", outage_seconds=0)
    with pytest.raises(StorageError, match=rf"s3://{BUCKET}/prefix/k: .*127\.0\.0\.1:{port}.*check AWS_ENDPOINT_URL and the network"):
        objects.get("k")


def answer(objects, *replies):
    """Let the next requests be answered with (status, code) instead of being sent."""
    from botocore.awsrequest import AWSResponse

    waiting = list(replies)

    def respond(**_):
        if not waiting:
            return None
        status, code = waiting.pop(0)
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

        class Raw:
            def stream(self, **_):
                yield body

        return AWSResponse("http://x", status, {"content-type": "application/xml"}, Raw())

    objects._client.meta.events.register("before-send.s3", respond)
    return waiting


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AccessDenied", "grant the credentials access to this bucket"),
        ("InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_denied_access_is_named(s3, code, hint):
    objects = open_objects(f"s3://{BUCKET}/prefix")
    answer(objects, (403, code))
    with pytest.raises(StorageError, match=rf"s3://{BUCKET}/prefix/k: the object store answered {code}; {hint}"):
        objects.get("k")


def test_missing_credentials_are_named(s3, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers the keys of earlier tests
    settings.cache_clear()
    with pytest.raises(StorageError, match=r"no AWS credentials found; set AWS_ACCESS_KEY_ID"):
        open_objects(f"s3://{BUCKET}/prefix").get("k")


def test_a_create_in_conflict_is_sent_again(s3):
    """409: another conditional write of the key was under way. Nobody won yet, so False would be a lie."""
    objects = S3Objects(f"s3://{BUCKET}/conflict")
    waiting = answer(objects, (409, "ConditionalRequestConflict"), (409, "ConditionalRequestConflict"))
    assert objects.create("k", b"mine") is True
    assert waiting == []
    assert objects.get("k") == b"mine"
