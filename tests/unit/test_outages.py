"""Outages of S3 as boto3 meets them: waited out until time is up, told from other errors. Only the clock is faked."""

import threading
from types import SimpleNamespace

import pytest
from botocore.exceptions import ConnectTimeoutError, SSLError

from lloco_core.errors import StorageError
from lloco_core.objects import open_objects
from lloco_core.objects.outages import OutageRetry
from lloco_core.settings import REQUEST_SECONDS, settings
from tests.conftest import BUCKET, reach
from tests.moto_server import moto_server


class Down:
    """Answers 503 to the next `n_answers` requests."""

    n_answers = 0

    def __init__(self, app):
        self.app, self.lock = app, threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            down = self.n_answers > 0
            self.n_answers -= down
        if not down:
            return self.app(environ, start_response)
        start_response("503 Slow Down", [("Content-Length", "0")])
        return [b""]


class HalfAnAnswer:
    """Breaks the next GET off in the middle of its body."""

    armed = False

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        body = b"".join(self.app(environ, start_response))
        if environ["REQUEST_METHOD"] == "GET" and self.armed:
            self.armed = False
            return [body[: len(body) // 2]]
        return [body]


@pytest.fixture
def clock(monkeypatch):
    """Time passes only while botocore waits."""
    now, lock = [0.0], threading.Lock()

    def sleep(seconds):
        with lock:
            now[0] += seconds

    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("lloco_core.objects.outages.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def faulty(request, monkeypatch):
    """The layer of a faulty server, which the environment names."""
    layers = []
    with moto_server(lambda app: layers.append(request.param(app)) or layers[0]) as url:
        reach(url, monkeypatch)
        yield layers[0]
    settings.cache_clear()


@pytest.mark.parametrize("faulty", [Down], indirect=True)
def test_many_requests_at_once_wait_for_the_store(faulty, monkeypatch):
    """botocore alone gives up after a hundred retries of a client, however many requests share them."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))
    objects = open_objects(f"s3://{BUCKET}/outage")
    faulty.n_answers = 300
    threads = [threading.Thread(target=objects.put, args=(f"{number}", b"here")) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(item.key) for item in objects.list()) == list(range(16))


@pytest.mark.parametrize("faulty", [Down], indirect=True)
def test_an_outage_that_does_not_end_is_an_error_in_the_end(faulty, clock, monkeypatch, caplog):
    monkeypatch.setenv("LLOCO_S3_OUTAGE_SECONDS", "200")
    settings.cache_clear()
    objects = open_objects(f"s3://{BUCKET}/outage")
    faulty.n_answers = 10**6
    with pytest.raises(StorageError, match=r"s3://company/outage/k: the object store answered 503; .*not available"):
        objects.get("k")
    assert 200 + REQUEST_SECONDS <= clock[0] < 200 + REQUEST_SECONDS + 10
    [warning] = caplog.messages
    assert "/company/outage/k: answer 503; trying again for up to 260 s" in warning


@pytest.mark.parametrize("faulty", [Down], indirect=True)
def test_zero_waits_for_no_outage(faulty, clock):
    objects = open_objects(f"s3://{BUCKET}/outage", outage_seconds=0)
    faulty.n_answers = 3
    with pytest.raises(StorageError, match="503"):
        objects.get("k")
    assert faulty.n_answers == 0


@pytest.mark.parametrize("faulty", [HalfAnAnswer], indirect=True)
def test_half_an_answer_is_asked_for_again(faulty):
    objects = open_objects(f"s3://{BUCKET}/outage")
    objects.put("k", b"0123456789" * 1000)
    faulty.armed = True
    assert objects.get("k") == b"0123456789" * 1000
    assert not faulty.armed


def answer(status):
    return SimpleNamespace(status_code=status), {}


@pytest.mark.parametrize(
    ("response", "error", "waits"),
    [
        (answer(200), None, False),
        (answer(403), None, False),
        (answer(412), None, False),
        (answer(429), None, True),
        (answer(503), None, True),
        (None, ConnectTimeoutError(endpoint_url="x"), True),
        (None, SSLError(endpoint_url="x", error="self-signed"), False),
        (None, ValueError("a defect"), False),
    ],
)
def test_what_counts_as_an_outage(response, error, waits):
    pause = OutageRetry(10)(response, error, attempts=1, request_dict={"context": {}})
    assert (pause is not None) is waits
