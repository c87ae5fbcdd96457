"""Real S3 servers for every test that wants one: moto in every run, a Ceph gateway in the slow ones (`-m real`); one thread for models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from lloco_core.settings import settings
from tests.ceph_rgw import CephRgw, missing_programs
from tests.moto_server import moto_server

os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 leaves its workers next to nothing beside the other tests
BUCKET = "company"
S3_KEY, S3_SECRET = "key-of-the-tests", "secret-of-the-tests"
S3_SERVERS = ["moto", pytest.param("ceph", marks=pytest.mark.real)]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For tests of tiny models: a second thread waits for a busy core in every operation."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of the S3 server of every run."""
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephRgw]:
    """A Ceph gateway. Where Ceph is not installed, tests on it are skipped; with CI=true they fail."""
    if missing := missing_programs():
        message = f"{', '.join(missing)} not found; `apt-get install ceph-mon ceph-osd radosgw` (Debian) brings them"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    cluster = CephRgw(tmp_path_factory.mktemp("ceph"), S3_KEY, S3_SECRET)
    yield cluster
    cluster.remove()


def s3_environment(endpoint: str) -> dict[str, str]:
    """What an operator would set to reach a server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": S3_KEY,
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def endpoint_of(request: pytest.FixtureRequest) -> str:
    """The server that a fixture's parameter names."""
    return request.getfixturevalue("ceph").endpoint if request.param == "ceph" else request.getfixturevalue("s3_endpoint")


def reach(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A boto3 client, and an environment in which the package reaches the same server; `BUCKET` exists."""
    import boto3

    for name in ("AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=S3_KEY, aws_secret_access_key=S3_SECRET)
    client.create_bucket(Bucket=BUCKET)  # creating it again changes nothing
    return client


@pytest.fixture(params=S3_SERVERS)
def s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """See `reach`; on every server."""
    yield reach(endpoint_of(request), monkeypatch)
    settings.cache_clear()
