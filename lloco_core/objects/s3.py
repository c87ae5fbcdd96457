"""Objects on S3, through boto3."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.objects.interface import ObjectInfo, Unfinished
from lloco_core.objects.keys import key_below
from lloco_core.objects.outages import FIRST_ATTEMPTS, OutageRetry
from lloco_core.objects.ranged import PIECE_BYTES, RangedObject
from lloco_core.settings import CONNECT_SECONDS, REQUEST_SECONDS, settings

CONFLICT_RETRIES = 8
"""S3 answers 409 while another write of the same key is under way: neither won nor lost, so the create is sent again."""

BROKEN_READS = 3
"""Attempts at an object whose answer began and broke off; each waits out an outage of its own."""

WRITER = "writer"
"""Metadata of a created object: which call made it."""

HINTS = {
    "NoSuchBucket": "create the bucket or correct the URI",
    "NoSuchKey": "the object does not exist",
    "404": "the object does not exist",
    "AccessDenied": "grant the credentials access to this bucket",
    "403": "grant the credentials access to this bucket",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "PreconditionFailed": "the object was replaced while it was read, start again",
    "412": "the object was replaced while it was read, start again",
    "503": "it is not available, try again",
    "SlowDown": "it is overloaded, try again with fewer workers",
}
"""Next step by error code of the store."""


def bucket_and_prefix(root: str) -> tuple[str, str]:
    """Bucket and key prefix of an `s3://` URI."""
    bucket, _, prefix = root.partition("://")[2].partition("/")  # not urlsplit: `#` and `?` are ordinary characters of a key
    if not bucket:
        raise ConfigurationError(f"{root!r} names no bucket; write s3://bucket/prefix")
    return bucket, prefix.strip("/")


class S3Objects:
    """Objects below an S3 prefix, on AWS or any endpoint that honours conditional PUTs.

    Outages of up to `outage_seconds`, by default those of the settings, are waited out; 0 waits for none.
    """

    def __init__(self, root: str, outage_seconds: float | None = None) -> None:
        self.bucket, self.prefix = bucket_and_prefix(root)
        self.root = "/".join(["s3:/", *filter(None, (self.bucket, self.prefix))])
        self._client = _s3_client(settings().s3_outage_seconds if outage_seconds is None else outage_seconds)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the objects below a key prefix, sorted by key."""
        base = self._key("")
        wanted = base + key_below(self.root, prefix)
        with _naming(self.root):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=wanted):
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):  # zero-byte folder markers
                        yield ObjectInfo(item["Key"][len(base) :], item["ETag"].strip('"'), item["Size"], item["LastModified"].timestamp())

    def uri(self, key: str) -> str:
        """The `s3://` URI of a key."""
        return f"s3://{self.bucket}/{self._key(key)}"

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at one object; None when it is missing."""
        from botocore.exceptions import ClientError

        with _naming(self.uri(key)):
            try:
                found = self._client.head_object(Bucket=self.bucket, Key=self._own_key(key))
            except ClientError as error:
                if _http_status(error) == 404:
                    return None
                raise
        return ObjectInfo(key, found["ETag"].strip('"'), found["ContentLength"], found["LastModified"].timestamp())

    def get(self, key: str) -> bytes:
        """Read an object."""
        return self._read(key)

    def open(self, key: str) -> BinaryIO:
        """Open an object to be read in pieces; a piece of an object that was replaced meanwhile is refused."""
        found = self.stat(key)
        if found is None:
            raise StorageError(f"{self.uri(key)}: {HINTS['NoSuchKey']}")

        def read_range(start: int, stop: int) -> bytes:
            return self._read(key, Range=f"bytes={start}-{stop - 1}", IfMatch=found.etag)

        return io.BufferedReader(RangedObject(read_range, found.size), PIECE_BYTES)

    def _read(self, key: str, **conditions: str) -> bytes:
        from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

        with _naming(self.uri(key)):
            for attempt in range(BROKEN_READS):
                try:
                    return self._client.get_object(Bucket=self.bucket, Key=self._own_key(key), **conditions)["Body"].read()
                except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                    if attempt == BROKEN_READS - 1:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def put(self, key: str, data: bytes) -> None:
        """Write an object, replacing what is there."""
        with _naming(self.uri(key)):
            self._client.put_object(Bucket=self.bucket, Key=self._own_key(key), Body=data)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless it exists; False when it does."""
        from botocore.exceptions import ClientError

        writer = uuid.uuid4().hex
        with _naming(self.uri(key)):
            for attempt in range(CONFLICT_RETRIES):
                try:
                    self._client.put_object(
                        Bucket=self.bucket, Key=self._own_key(key), Body=data, IfNoneMatch="*", Metadata={WRITER: writer}
                    )
                except ClientError as error:
                    if _http_status(error) == 412:
                        return self._writer_of(key) == writer  # it is ours when the answer to an earlier attempt was lost
                    if _http_status(error) != 409 or attempt == CONFLICT_RETRIES - 1:
                        raise
                    time.sleep(0.05 * 2**attempt)
                else:
                    return True
        raise AssertionError("the last attempt returns or raises")

    def delete(self, key: str) -> None:
        """Delete an object if it is there."""
        with _naming(self.uri(key)):
            self._client.delete_object(Bucket=self.bucket, Key=self._own_key(key))

    def unfinished(self) -> Iterator[Unfinished]:
        """List multipart uploads; stores keep their parts, and the bill, until they are aborted."""
        base = self._key("")
        with _naming(self.root):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=base):
                for item in page.get("Uploads", ()):
                    yield Unfinished(item["Key"][len(base) :], item["UploadId"], item["Initiated"].timestamp())

    def abandon(self, write: Unfinished) -> None:
        """Abort a multipart upload if it is there."""
        from botocore.exceptions import ClientError

        with _naming(self.uri(write.key)):
            try:
                self._client.abort_multipart_upload(Bucket=self.bucket, Key=self._key(write.key), UploadId=write.upload)
            except ClientError as error:
                if _http_status(error) != 404:
                    raise

    def _writer_of(self, key: str) -> str | None:
        from botocore.exceptions import ClientError

        try:
            found = self._client.head_object(Bucket=self.bucket, Key=self._key(key))
        except ClientError as error:
            if _http_status(error) == 404:
                return None  # deleted since
            raise
        return found["Metadata"].get(WRITER)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _own_key(self, key: str) -> str:
        return self._key(key_below(self.root, key))


def _http_status(error: Any) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _s3_client(outage_seconds: float) -> Any:
    import boto3
    from botocore.config import Config

    env = settings()
    secret, token = env.aws_secret_access_key, env.aws_session_token
    client = boto3.client(
        "s3",
        endpoint_url=env.aws_endpoint_url,
        region_name=env.aws_region,
        aws_access_key_id=env.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        config=Config(
            retries={"total_max_attempts": FIRST_ATTEMPTS, "mode": "standard"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=REQUEST_SECONDS,
        ),
    )
    if outage_seconds:
        client.meta.events.register("needs-retry.s3", OutageRetry(outage_seconds + REQUEST_SECONDS))
    return client


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
