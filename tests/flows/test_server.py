"""A Prefect server, a worker, and the deployments as `make stack` starts them; runs are read back through the API."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from infra.local_stack import LocalStack
from lloco_core.store.read import open_night
from tests.flows.conftest import small_night

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

RUN_SECONDS = 600


def test_a_deployed_night_runs_on_a_worker_and_leaves_artifacts(tmp_path: Path, corpus: Path):
    config = small_night(str(corpus), str(tmp_path / "store"))
    with LocalStack(tmp_path / "prefect") as stack:
        deployments = stack.prefect("deployment", "ls")
        for name in ("nightly", "ingest-corpus", "finetune-groups", "register-adapters", "maintain-store", "train-encoder"):
            assert name in deployments

        with pytest.raises(RuntimeError, match="commit_every"):
            bad = config | {"store": config["store"] | {"commit_every": 0}}
            stack.prefect("deployment", "run", "nightly/nightly", "--param", f"config={json.dumps(bad)}")

        output = stack.prefect("deployment", "run", "nightly/nightly", "--watch", "--param", f"config={json.dumps(config)}")
        assert "Completed" in output

        artifacts = asyncio.run(_artifacts(stack.url))

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


async def _artifacts(url: str) -> dict[str, str]:
    import httpx

    async with httpx.AsyncClient(base_url=f"{url}/api", timeout=30) as client:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            rows = (await client.post("/artifacts/latest/filter", json={})).json()
            found = {row["key"]: row["data"] for row in rows}
            if "run-report" in found:
                return {key: data if isinstance(data, str) else json.dumps(data) for key, data in found.items()}
            await asyncio.sleep(1)
    raise AssertionError(f"no run-report among the artifacts {sorted(found)}; pid {os.getpid()}")
