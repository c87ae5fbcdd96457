"""Nights in a process of their own, with secrets in its environment: afterwards they are in no output, file, table, or database."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lloco_core.settings import settings
from lloco_core.store.tables import Store
from tests.conftest import BUCKET, reach, s3_environment
from tests.flows.conftest import small_night, write_topics

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
BEGINS, FAILED = "=== a night begins\n", "=== a night failed\n"
PROCESS = f"""
import json, sys, traceback
from flows import nightly

for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    print({BEGINS!r}, end="")
    try:
        nightly.main()
    except SystemExit as error:
        print(error.code)
        print({FAILED!r}, end="")
    except BaseException:
        traceback.print_exc()
        print({FAILED!r}, end="")
"""
REPOSITORY = Path(__file__).parents[2]
TABLES = ("documents", "segments", "passages", "quarantine", "ledger", "adapters")


@dataclass(frozen=True)
class Night:
    """How one ended."""

    succeeded: bool
    output: str


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


@pytest.fixture(scope="module")
def teacher() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Where Prefect and Ray keep everything; Ray wants a short path."""
    with tempfile.TemporaryDirectory(prefix="secrets-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def s3(s3_endpoint: str) -> Iterator[Any]:
    """Moto, which takes any secret: those that are searched for."""
    with pytest.MonkeyPatch.context() as patch:
        yield reach(s3_endpoint, patch)
    settings.cache_clear()


@pytest.fixture(scope="module")
def nights(home: Path, s3: Any, s3_endpoint: str, teacher: str) -> dict[str, Night]:
    """A whole night, and one for every fault; one after the other in one process, as each start of Prefect takes long."""
    corpus, prefix = write_topics(home / "texts"), f"s3://{BUCKET}/{home.name}"
    for path in sorted(corpus.rglob("*.txt")):
        s3.put_object(Bucket=BUCKET, Key=f"{home.name}/texts/{path.relative_to(corpus).as_posix()}", Body=path.read_bytes())
    good = small_night(f"{prefix}/texts", f"{prefix}/store")
    good["questions"] = {"teacher": {"base_url": teacher, "model": "m"}, "per_document": 3}
    arguments = {"none": ["--config", str(written(home / "none.json", good))]}
    for number, fault in enumerate(FAULTS):
        file = written(home / f"{number}.json", faulty_night(fault, corpus, home, teacher))
        option = [f"--{fault.split()[-1]}", f"s3://key:{IN_URI}@{BUCKET}/x"] if fault.endswith(".uri") else []
        arguments[fault] = ["--config", str(file), *option]
    return run_nights(home, s3_endpoint, arguments)


def faulty_night(fault: str, corpus: Path, home: Path, teacher: str) -> dict[str, Any]:
    config = small_night(str(corpus), str(home / "store"))
    if fault == "no bucket":
        config["store"]["uri"] = "s3://there-is-no-such-bucket/store"
    elif fault == "teacher refuses":
        config["questions"] = {"teacher": {"base_url": teacher, "model": "refuse"}}
    elif fault == "secret in the manifest":
        manifest = home / "list.jsonl"
        manifest.write_text(json.dumps({"uri": f"s3://key:{IN_URI}@{BUCKET}/a.txt"}) + "\n")
        config["corpus"]["uri"] = str(manifest)
    return config


def written(file: Path, config: dict[str, Any]) -> Path:
    file.write_text(json.dumps(config))
    return file


def run_nights(home: Path, endpoint: str, arguments: dict[str, list[str]]) -> dict[str, Night]:
    """By name: what a command line ended with and printed, to the terminal's two streams together."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PREFECT_", "RAY_"))}
    environment |= s3_environment(endpoint) | SECRETS
    environment |= {"HOME": str(home), "PREFECT_HOME": str(home / "prefect"), "RAY_TMPDIR": str(home), "RAY_AUTH_MODE": "disabled"}
    environment |= {"PREFECT_LOGGING_EXTRA_LOGGERS": "lloco_core", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    environment |= {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment |= {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", PROCESS, json.dumps(list(arguments.values()))]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=700, check=False
    )
    first, *outputs = done.stdout.split(BEGINS)
    assert len(outputs) == len(arguments), done.stdout[-3000:]
    outputs[0] = first + outputs[0]
    return {name: Night(FAILED not in output, output) for name, output in zip(arguments, outputs, strict=True)}


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


@pytest.mark.real
@pytest.mark.timeout(900)
def test_nights_leave_no_secret_anywhere(nights: dict[str, Night], s3: Any, home: Path):
    assert "registered" in nights["none"].output
    database = home / "prefect" / "prefect.db"
    assert database.exists()  # the search below is of something
    store = Store(f"s3://{BUCKET}/{home.name}/store")
    rows = {name: repr(store.dataset(name).to_table().to_pylist()).encode() for name in TABLES}
    printed = {f"output of {name}": night.output.encode() for name, night in nights.items()}
    (home / "list.jsonl").unlink()  # the one file that was given a secret
    assert leaks(printed | files_below(home) | objects_of(s3) | rows) == []


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["none", *FAULTS])
def test_a_fault_is_named(nights: dict[str, Night], fault: str):
    night = nights[fault]
    assert night.succeeded == (fault == "none"), night.output[-3000:]
    assert FAULTS.get(fault, "registered") in night.output
