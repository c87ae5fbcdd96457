"""prefect.yaml: valid by Prefect's own model, entry points that exist, parameters that validate."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from lloco_core.config import NightlyConfig

ROOT = Path(__file__).resolve().parents[2]
FILE = yaml.safe_load((ROOT / "prefect.yaml").read_text())


def test_prefect_accepts_the_file():
    models = pytest.importorskip("prefect.cli.deploy._models", reason="private module of prefect, moved")
    models.PrefectYamlModel.model_validate(FILE)


@pytest.mark.parametrize("deployment", FILE["deployments"], ids=lambda deployment: deployment["name"])
def test_deployments_name_flows_that_take_their_parameters(deployment: dict):
    path, _, name = deployment["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert list(flow.parameters.properties) == ["config"]
    assert NightlyConfig.model_validate(deployment["parameters"]["config"]).corpus.uri
    assert deployment["concurrency_limit"]["limit"] == 1
    assert deployment["work_pool"]["name"] == "lloco"


def test_the_nightly_deployment_has_its_schedule():
    nightly = next(deployment for deployment in FILE["deployments"] if deployment["name"] == "nightly")
    assert [schedule["cron"] for schedule in nightly["schedules"]] == ["0 2 * * *"]
    assert FILE["pull"][0]["prefect.deployments.steps.set_working_directory"]["directory"] == "{{ $LLOCO_HOME }}"
