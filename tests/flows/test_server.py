"""A Prefect server, a worker, and the deployments as `make stack` starts them; runs are read back through the API."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local_stack import LocalStack
from lloco_core.store.read import open_night
from tests.flows.conftest import small_night

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

RUN_SECONDS = 600
NAME = "a-night-of-the-test"


def test_a_deployed_night_runs_on_a_worker_and_leaves_artifacts(tmp_path: Path, corpus: Path):
    config = small_night(str(corpus), str(tmp_path / "store"))
    with LocalStack(tmp_path / "prefect") as stack:
        flows = {"nightly", "ingest-corpus", "finetune-groups", "register-adapters", "maintain-store", "train-encoder"}
        assert flows <= {row["name"] for row in asked(stack, "flows/filter")}
        assert len(asked(stack, "deployments/filter")) >= len(flows)

        with pytest.raises(RuntimeError, match="commit_every"):
            bad = config | {"store": config["store"] | {"commit_every": 0}}
            stack.prefect("deployment", "run", "nightly/nightly", "--param", f"config={json.dumps(bad)}")

        stack.prefect("deployment", "run", "nightly/nightly", "--flow-run-name", NAME, "--param", f"config={json.dumps(config)}")
        assert final_state(stack) == "COMPLETED"
        found = {row["key"]: row["data"] for row in asked(stack, "artifacts/latest/filter")}
    artifacts = {key: data if isinstance(data, str) else json.dumps(data) for key, data in found.items()}
    night = open_night(config["store"]["uri"])
    assert night.groups() == {"statements": 6, "types": 5}
    report = artifacts["run-report"]
    assert "# Run report" in report
    assert night.name in report
    assert "statements (6), types (5)" in report
    assert {row["verdict"] for row in json.loads(artifacts["adapters"])} == {"registered"}
    plan = {row["what"]: row["count"] for row in json.loads(artifacts["plan"])}
    assert plan["objects listed"] == 11
    assert float(artifacts["compress-progress"]) == 100.0
    assert len(json.loads(artifacts["closing-questions"])) == 2


def final_state(stack: LocalStack) -> str:
    """Of the run, once it has ended. `--watch` would print it ten seconds later."""
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        [run] = asked(stack, "flow_runs/filter", {"flow_runs": {"name": {"any_": [NAME]}}})
        if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return run["state_type"]
        time.sleep(1)
    raise AssertionError(f"the night is {run['state_type']} after {RUN_SECONDS} s")


def asked(stack: LocalStack, path: str, question: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What the server's API answers."""
    answer = httpx.post(f"{stack.url}/api/{path}", json=question or {}, timeout=30)
    answer.raise_for_status()
    return answer.json()
