"""A night in a process of its own, with secrets in its environment: afterwards they are in no output, file, table, or database."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lloco_core.settings import settings
from lloco_core.store.tables import Store
from tests.conftest import BUCKET, reach, s3_environment
from tests.flows.conftest import small_night

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLEtokenTOKEN0123456789abcdef",
    "LLOCO_TEACHER_API_KEY": "sk-proj-9aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
}
IN_URI = "uriSecretAbCdEf0123456789GhIjKl"
REFUSED = "must not carry credentials"
FAULTS = {
    "no bucket": "NoSuchBucket",
    "teacher refuses": "answered 401; check LLOCO_TEACHER_API_KEY",
    "secret in corpus.uri": REFUSED,
    "secret in store.uri": REFUSED,
    "secret in the manifest": REFUSED,
}
"""What goes wrong, and what is said of it."""
REPOSITORY = Path(__file__).parents[2]
TABLES = ("documents", "segments", "passages", "quarantine", "ledger", "adapters")


class Teacher(BaseHTTPRequestHandler):
    """Answers every request with a question; refuses, with the key it was given, where the model is called `refuse`."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Authorization"] == f"Bearer {SECRETS['LLOCO_TEACHER_API_KEY']}"
        pair = json.dumps({"question": f"What is asked in {hash(str(asked)) % 10**6}?", "answer": "an answer"})
        refused = asked["model"] == "refuse"
        message = self.headers["Authorization"] if refused else pair
        body = json.dumps({"choices": [{"message": {"role": "assistant", "content": message}}]}).encode()
        self.send_response(401 if refused else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def teacher() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()


@pytest.fixture
def home() -> Iterator[Path]:
    """Where Prefect and Ray keep everything; Ray wants a short path."""
    with tempfile.TemporaryDirectory(prefix="secrets-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def night(home: Path, endpoint: str, config: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    file = home / "night.json"
    file.write_text(json.dumps(config))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PREFECT_", "RAY_"))}
    environment |= s3_environment(endpoint) | SECRETS
    environment |= {"HOME": str(home), "PREFECT_HOME": str(home / "prefect"), "RAY_TMPDIR": str(home), "RAY_AUTH_MODE": "disabled"}
    environment |= {"PREFECT_LOGGING_EXTRA_LOGGERS": "lloco_core", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    environment |= {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "flows.nightly", "--config", str(file), *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=500, check=False)


def leaks(texts: dict[str, bytes]) -> list[tuple[str, str]]:
    """(place, secret) of every secret found, also as URLs and headers write it."""
    found = []
    for name, secret in (SECRETS | {"in a URI": IN_URI}).items():
        forms = {secret.encode(), base64.b64encode(secret.encode()), quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
        found += [(place, name) for place, data in texts.items() if any(form in data for form in forms)]
    return found


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def objects_of(client: Any) -> dict[str, bytes]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def output_of(done: subprocess.CompletedProcess[str]) -> dict[str, bytes]:
    return {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Moto alone, which takes any secret: those that are searched for."""
    yield reach(s3_endpoint, monkeypatch)
    settings.cache_clear()


@pytest.mark.real
@pytest.mark.timeout(900)
def test_a_night_leaves_no_secret_anywhere(corpus: Path, s3: Any, s3_endpoint: str, teacher: str, home: Path):
    prefix = f"s3://{BUCKET}/{home.name}"
    for path in sorted(corpus.rglob("*.txt")):
        s3.put_object(Bucket=BUCKET, Key=f"{home.name}/texts/{path.relative_to(corpus).as_posix()}", Body=path.read_bytes())
    config = small_night(f"{prefix}/texts", f"{prefix}/store")
    config["questions"] = {"teacher": {"base_url": teacher, "model": "m"}, "per_document": 3}
    done = night(home, s3_endpoint, config)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "registered" in done.stdout
    database = home / "prefect" / "prefect.db"
    assert database.exists()  # the search below is of something
    rows = {name: repr(Store(f"{prefix}/store").dataset(name).to_table().to_pylist()).encode() for name in TABLES}
    assert leaks(output_of(done) | files_below(home) | objects_of(s3) | rows) == []


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_night_that_fails_leaves_no_secret_anywhere(corpus: Path, s3: Any, s3_endpoint: str, teacher: str, home: Path, fault: str):
    config = small_night(str(corpus), str(home / "store"))
    if fault == "no bucket":
        config["store"]["uri"] = "s3://there-is-no-such-bucket/store"
    elif fault == "teacher refuses":
        config["questions"] = {"teacher": {"base_url": teacher, "model": "refuse"}}
    elif fault == "secret in the manifest":
        (corpus / "list.jsonl").write_text(json.dumps({"uri": f"s3://key:{IN_URI}@{BUCKET}/a.txt"}) + "\n")
        config["corpus"]["uri"] = str(corpus / "list.jsonl")
    arguments = [f"--{fault.split()[-1]}", f"s3://key:{IN_URI}@{BUCKET}/x"] if fault.endswith(".uri") else []
    done = night(home, s3_endpoint, config, *arguments)
    assert done.returncode != 0
    assert FAULTS[fault] in done.stdout + done.stderr
    assert leaks(output_of(done) | files_below(home) | objects_of(s3)) == []
