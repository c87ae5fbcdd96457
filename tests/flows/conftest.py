"""Flow tests run real Prefect (one temporary server a session), real Ray (one a session), and the reference model."""

from __future__ import annotations

import os
import pydoc_data.topics
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import s3_environment

TOPICS = {
    "statements": ("assert", "break", "continue", "del", "pass", "return"),
    "types": ("bltin-null-object", "bltin-type-objects", "lists", "numbers", "truth"),
}


@pytest.fixture(scope="session")
def prefect_server():
    """A temporary Prefect server for all flow tests of the session."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def open_ray(s3_endpoint: str) -> Iterator[None]:
    """The Ray that flows of this process use and leave open: each starting its own costs seconds. Its workers reach moto.

    Nights in processes of their own (`test_readme.py`, `test_secrets.py`, `test_server.py`) start and stop theirs.
    """
    from lloco_core.config import ClusterConfig
    from lloco_core.distributed.session import ray_session

    with ExitStack() as session:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (s3_environment(s3_endpoint) | {"OMP_NUM_THREADS": "1"}).items():
                patch.setenv(name, value)
            patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.3")  # every checkpoint waits for the next check
            session.enter_context(ray_session(ClusterConfig(object_store_mb=200)))
        yield


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """See `write_topics`."""
    return write_topics(tmp_path / "corpus")


def write_topics(folder: Path) -> Path:
    """Eleven short documents of the Python reference in two folders."""
    for group, names in TOPICS.items():
        (folder / group).mkdir(parents=True)
        for name in names:
            (folder / group / f"{name}.txt").write_text(pydoc_data.topics.topics[name], encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores are shared by a whole cluster here."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert os.environ["OMP_NUM_THREADS"] == "1"


def small_night(corpus_uri: str, store_uri: str) -> dict:
    """A configuration that trains two adapters in seconds."""
    return {
        "corpus": {"uri": corpus_uri},
        "store": {"uri": store_uri, "shard_objects": 3, "commit_every": 1},
        "questions": {"per_document": 3},
        "finetune": {"learning_rate": 1e-4, "max_steps": 2, "global_batch": 4, "micro_batch": 4, "gradient_checkpointing": False},
        "answer": {"max_new_tokens": 8},
        "closing": {"count": 2},
        "cluster": {"object_store_mb": 200},
    }
