"""Objects in a folder or on S3 behind one small interface: list, get, put, create-only put.

`create` is the primitive the exactly-once rules rest on: it succeeds for exactly one caller per key (`O_EXCL` on disk,
`If-None-Match: *` on S3). Knows nothing of corpora or tables.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes, urlsplit

from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.settings import settings


WRITING = ".writing-"
"""Prefix of the temporary files that atomic writes rename; never listed."""


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
    parts = urlsplit(root)
    if parts.scheme == "s3":
        return S3Objects(root)
    if parts.scheme in ("", "file"):
        return LocalObjects(root)
    raise ConfigurationError(f"cannot open {root!r}: scheme {parts.scheme!r} is not supported; use a folder or s3://bucket/prefix")


def canonical_root(root: str) -> str:
    """The root as a Lance-readable location without a trailing slash: an absolute path or `s3://bucket/prefix`."""
    return root.rstrip("/") if urlsplit(root).scheme == "s3" else str(_local_path(root))


def _local_path(root: str) -> Path:
    parts = urlsplit(root)
    path = os.fsdecode(unquote_to_bytes(parts.path)) if parts.scheme == "file" else root
    return Path(path).expanduser().absolute()


class LocalObjects:
    """Objects as files below a folder. Writes are atomic: a temporary file, then a rename or a link."""

    def __init__(self, root: str) -> None:
        self.path = _local_path(root)
        self.root = str(self.path)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        if not self.path.is_dir():
            raise StorageError(f"folder {self.root} does not exist; check the path")
        keys = []
        for folder, _, names in os.walk(self.path / prefix.rpartition("/")[0], onerror=self._refuse_unreadable_folder):
            keys += [Path(folder, name).relative_to(self.path).as_posix() for name in names if not name.startswith(WRITING)]
        for key in sorted(keys):
            if key.startswith(prefix):
                try:
                    status = (self.path / key).stat()
                except OSError:
                    yield ObjectInfo(key, "unreadable", 0)  # reading it gives the reason and quarantines it
                    continue
                yield ObjectInfo(key, f"{status.st_mtime_ns:x}-{status.st_size:x}", status.st_size)

    def _refuse_unreadable_folder(self, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return  # a prefix below which nothing was written yet
        raise StorageError(f"folder {error.filename} cannot be listed: {error.strerror}; check its permissions") from error

    def uri(self, key: str) -> str:
        return "file://" + quote(os.fsencode(self.path / key), safe="/")  # bytes: a file name need not be UTF-8

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            status = (self.path / key).stat()
        except OSError:
            return None
        return ObjectInfo(key, f"{status.st_mtime_ns:x}-{status.st_size:x}", status.st_size)

    def get(self, key: str) -> bytes:
        try:
            return (self.path / key).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {self.path / key}: {error.strerror}; check that it exists and is readable") from error

    def put(self, key: str, data: bytes) -> None:
        target = self._target(key)
        os.replace(self._write_temporary(target, data), target)

    def create(self, key: str, data: bytes) -> bool:
        target = self._target(key)
        temporary = self._write_temporary(target, data)
        try:
            os.link(temporary, target)  # fails when the name exists: exactly one caller wins
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary)
        return True

    def delete(self, key: str) -> None:
        (self.path / key).unlink(missing_ok=True)

    def _target(self, key: str) -> Path:
        target = self.path / key
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot create folder {target.parent}: {error.strerror}; check permissions and free space") from error
        return target

    def _write_temporary(self, target: Path, data: bytes) -> str:
        try:
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=WRITING)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"cannot write {target}: {error.strerror}; check permissions and free space") from error
        return name


class S3Objects:
    """Objects below an S3 prefix, on AWS or any endpoint that honours conditional PUTs."""

    def __init__(self, root: str) -> None:
        parts = urlsplit(root)
        if not parts.netloc:
            raise ConfigurationError(f"{root!r} names no bucket; write s3://bucket/prefix")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")
        self.root = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._client = _s3_client()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        base = f"{self.prefix}/" if self.prefix else ""
        with _named(self.root):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=base + prefix):
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):  # zero-byte folder markers
                        yield ObjectInfo(item["Key"][len(base) :], item["ETag"].strip('"'), item["Size"])

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._key(key)}"

    def stat(self, key: str) -> ObjectInfo | None:
        from botocore.exceptions import ClientError

        with _named(self.uri(key)):
            try:
                found = self._client.head_object(Bucket=self.bucket, Key=self._key(key))
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
        return ObjectInfo(key, found["ETag"].strip('"'), found["ContentLength"])

    def get(self, key: str) -> bytes:
        with _named(self.uri(key)):
            return self._client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()

    def put(self, key: str, data: bytes) -> None:
        with _named(self.uri(key)):
            self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data)

    def create(self, key: str, data: bytes) -> bool:
        from botocore.exceptions import ClientError

        with _named(self.uri(key)):
            try:
                self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, IfNoneMatch="*")
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                    return False
                raise
        return True

    def delete(self, key: str) -> None:
        with _named(self.uri(key)):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


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


class _named:
    """Turn any botocore failure inside the block into a `StorageError` that names the URI and the next step."""

    HINTS = {
        "NoSuchBucket": "create the bucket or correct the URI",
        "NoSuchKey": "the object does not exist",
        "404": "the object does not exist",
        "AccessDenied": "grant the credentials access to this bucket",
        "403": "grant the credentials access to this bucket",
        "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
        "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    }

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        if isinstance(error, ClientError):
            code = error.response["Error"].get("Code", "unknown")
            hint = self.HINTS.get(code, "see the store's documentation for this code")
            raise StorageError(f"{self.uri}: the object store answered {code}; {hint}") from error
        if isinstance(error, NoCredentialsError):
            raise StorageError(f"{self.uri}: no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a role") from error
        if isinstance(error, BotoCoreError):
            raise StorageError(f"{self.uri}: {error}; check AWS_ENDPOINT_URL and the network") from error
