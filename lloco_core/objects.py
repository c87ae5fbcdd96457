"""Objects in a folder or on S3 behind one small interface: list, get, put, create-only put.

`create` is the primitive the exactly-once rules rest on: it succeeds for exactly one caller per key (`O_EXCL` on disk,
`If-None-Match: *` on S3). Knows nothing of corpora or tables.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes, urlsplit

from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.settings import settings

WRITING = ".writing-"
"""Prefix of the temporary files that atomic writes rename; never listed."""

CONFLICT_RETRIES = 8
"""S3 answers 409 while another write of the same key is under way: neither won nor lost, so the create is sent again."""

HINTS = {
    "NoSuchBucket": "create the bucket or correct the URI",
    "NoSuchKey": "the object does not exist",
    "404": "the object does not exist",
    "AccessDenied": "grant the credentials access to this bucket",
    "403": "grant the credentials access to this bucket",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
}
"""Next step by error code of the store."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One listed object. `key` is relative to the root it was listed under."""

    key: str
    etag: str
    size: int


class Objects(Protocol):
    """Access to the objects below one root URI. Every failure is a `StorageError` that names the URI."""

    root: str

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the objects whose key starts with `prefix`, sorted by key."""

    def uri(self, key: str) -> str:
        """The canonical URI of an object."""

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one object without reading it; None when it is missing."""

    def get(self, key: str) -> bytes:
        """Read an object; `StorageError` when it is missing."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object, replacing what is there."""

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless it exists; False when it does."""

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens when it is missing."""


def open_objects(root: str) -> Objects:
    """Open a folder path, a `file://` URI, or an `s3://bucket/prefix` URI."""
    scheme = _scheme(root)
    if scheme == "s3":
        return S3Objects(root)
    if scheme in ("", "file"):
        return LocalObjects(root)
    raise ConfigurationError(f"cannot open {root!r}: scheme {scheme!r} is not supported; use a folder or s3://bucket/prefix")


def canonical_root(root: str) -> str:
    """The root as a Lance-readable location without a trailing slash: an absolute path or `s3://bucket/prefix`."""
    return "/".join(["s3:/", *filter(None, _bucket_and_prefix(root))]) if _scheme(root) == "s3" else str(_local_path(root))


def _scheme(root: str) -> str:
    return root.partition("://")[0].lower() if "://" in root else ""


def _local_path(root: str) -> Path:
    path = root
    if _scheme(root) == "file":
        path = os.fsdecode(unquote_to_bytes(urlsplit(root.replace("#", "%23").replace("?", "%3F")).path))
    return Path(path).expanduser().absolute()


def _bucket_and_prefix(root: str) -> tuple[str, str]:
    bucket, _, prefix = root.partition("://")[2].partition("/")  # not urlsplit: `#` and `?` are ordinary characters of a key
    if not bucket:
        raise ConfigurationError(f"{root!r} names no bucket; write s3://bucket/prefix")
    return bucket, prefix.strip("/")


class LocalObjects:
    """Objects as files below a folder. Writes are atomic: a temporary file, then a rename or a link."""

    def __init__(self, root: str) -> None:
        self.path = _local_path(root)
        self.root = str(self.path)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the files below a key prefix, sorted by key."""
        if not self.path.is_dir():
            raise StorageError(f"folder {self.root} does not exist; check the path")
        keys = []
        for folder, _, names in os.walk(self.path / prefix.rpartition("/")[0], onerror=self._refuse_unreadable_folder):
            keys += [Path(folder, name).relative_to(self.path).as_posix() for name in names if not name.startswith(WRITING)]
        for key in sorted(keys):
            if key.startswith(prefix):
                # a file that cannot be looked at is listed: reading it gives the reason and quarantines it
                yield self.stat(key) or ObjectInfo(key, "unreadable", 0)

    def _refuse_unreadable_folder(self, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return  # a prefix below which nothing was written yet
        raise StorageError(f"folder {error.filename} cannot be listed: {error.strerror}; check its permissions") from error

    def uri(self, key: str) -> str:
        """The `file://` URI of a key."""
        return "file://" + quote(os.fsencode(self.path / key), safe="/")  # bytes: a file name need not be UTF-8

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one file; None when it is missing."""
        try:
            status = (self.path / key).stat()
        except OSError:
            return None
        return ObjectInfo(key, f"{status.st_mtime_ns:x}-{status.st_size:x}", status.st_size)

    def get(self, key: str) -> bytes:
        """Read a file."""
        try:
            return (self.path / key).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {self.path / key}: {error.strerror}; check that it exists and is readable") from error

    def put(self, key: str, data: bytes) -> None:
        """Write a file, replacing what is there."""
        target = self.path / key
        with _writing(target, data) as temporary:
            temporary.replace(target)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file unless it exists; False when it does."""
        target = self.path / key
        with _writing(target, data) as temporary:
            try:
                target.hardlink_to(temporary)  # fails when the name exists: exactly one caller wins
            except FileExistsError:
                return False
        return True

    def delete(self, key: str) -> None:
        """Delete a file if it is there."""
        try:
            (self.path / key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot delete {self.path / key}: {error.strerror}; check permissions") from error


@contextmanager
def _writing(target: Path, data: bytes) -> Iterator[Path]:
    """A complete temporary file beside the target; it is gone afterwards, whatever happens."""
    temporary = target.parent / f"{WRITING}{uuid.uuid4().hex}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:  # not tempfile: its files are closed to other users for good
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}; check permissions and free space") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


class S3Objects:
    """Objects below an S3 prefix, on AWS or any endpoint that honours conditional PUTs."""

    def __init__(self, root: str) -> None:
        self.bucket, self.prefix = _bucket_and_prefix(root)
        self.root = canonical_root(root)
        self._client = _s3_client()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a key prefix, sorted by key."""
        base = f"{self.prefix}/" if self.prefix else ""
        with _naming(self.root):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=base + prefix):
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):  # zero-byte folder markers
                        yield ObjectInfo(item["Key"][len(base) :], item["ETag"].strip('"'), item["Size"])

    def uri(self, key: str) -> str:
        """The `s3://` URI of a key."""
        return f"s3://{self.bucket}/{self._key(key)}"

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one object; None when it is missing."""
        from botocore.exceptions import ClientError

        with _naming(self.uri(key)):
            try:
                found = self._client.head_object(Bucket=self.bucket, Key=self._key(key))
            except ClientError as error:
                if _http_status(error) == 404:
                    return None
                raise
        return ObjectInfo(key, found["ETag"].strip('"'), found["ContentLength"])

    def get(self, key: str) -> bytes:
        """Read an object."""
        with _naming(self.uri(key)):
            return self._client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()

    def put(self, key: str, data: bytes) -> None:
        """Write an object, replacing what is there."""
        with _naming(self.uri(key)):
            self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless it exists; False when it does."""
        from botocore.exceptions import ClientError

        with _naming(self.uri(key)):
            for attempt in range(CONFLICT_RETRIES):
                try:
                    self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, IfNoneMatch="*")
                except ClientError as error:
                    if _http_status(error) == 412:
                        return False
                    if _http_status(error) != 409 or attempt == CONFLICT_RETRIES - 1:
                        raise
                    time.sleep(0.05 * 2**attempt)
                else:
                    return True
        raise AssertionError("the last attempt returns or raises")

    def delete(self, key: str) -> None:
        """Delete an object if it is there."""
        with _naming(self.uri(key)):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


def _http_status(error: Any) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _s3_client() -> Any:
    import boto3
    from botocore.config import Config

    env = settings()
    secret, token = env.aws_secret_access_key, env.aws_session_token
    return boto3.client(
        "s3",
        endpoint_url=env.aws_endpoint_url,
        region_name=env.aws_region,
        aws_access_key_id=env.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        config=Config(retries={"max_attempts": 8, "mode": "standard"}, connect_timeout=10, read_timeout=60),
    )


@contextmanager
def _naming(uri: str) -> Iterator[None]:
    """Turn any botocore failure inside the block into a `StorageError` that names the URI and the next step."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"].get("Code", "unknown")
        hint = HINTS.get(code, "see the store's documentation for this code")
        raise StorageError(f"{uri}: the object store answered {code}; {hint}") from error
    except NoCredentialsError as error:
        raise StorageError(f"{uri}: no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a role") from error
    except BotoCoreError as error:
        raise StorageError(f"{uri}: {error}; check AWS_ENDPOINT_URL and the network") from error
