"""What `lloco doctor` says of a store: whether it can be committed to, and which outages are waited out."""

import socket

import pytest

from lloco_core.doctor import run_checks
from lloco_core.settings import settings
from tests.conftest import BUCKET
from tests.unit.store.fixtures import store_uri

__all__ = ["store_uri"]


def findings(uri):
    return {check.name: check for check in run_checks(uri, "reference")}


def test_a_good_store_is_found_good_and_left_as_it_was(store_uri):
    from lloco_core.objects import open_objects

    objects = open_objects(store_uri)
    objects.put("kept", b"1")
    found = findings(store_uri)
    assert all(check.ok for check in found.values()), found
    assert found["store"].detail == f"{objects.root} honours create-only writes"
    assert [item.key for item in objects.list()] == ["kept"]


def test_retries_timeouts_and_the_longest_outage_are_shown(s3, monkeypatch):
    monkeypatch.setenv("LLOCO_S3_OUTAGE_SECONDS", "75")
    settings.cache_clear()
    detail = findings(f"s3://{BUCKET}/doctor")["outages"].detail
    for part in ("up to 75 s", "LLOCO_S3_OUTAGE_SECONDS", "again for 135 s", "connection is given up after 10 s", "answer after 60 s"):
        assert part in detail


def test_a_folder_has_no_outages(tmp_path):
    assert "a folder" in findings(str(tmp_path))["outages"].detail


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_an_unreachable_store_is_reported_without_waiting_for_it(s3, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    settings.cache_clear()
    pauses = []
    monkeypatch.setattr("botocore.endpoint.time", type("Clock", (), {"sleep": staticmethod(pauses.append)}))
    found = findings(f"s3://{BUCKET}/doctor")["store"]
    assert not found.ok
    assert "check AWS_ENDPOINT_URL and the network" in found.detail
    assert sum(pauses) < 20
