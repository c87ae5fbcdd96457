"""prefect.yaml: valid by Prefect's own model, entry points that exist, parameters that validate."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from lloco_core.encoder_training.run import EncoderRunConfig

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
    kind = get_type_hints(flow.fn)["config"]
    config = kind.model_validate(deployment["parameters"]["config"])
    assert config.output if isinstance(config, EncoderRunConfig) else config.store.uri
    assert deployment["concurrency_limit"]["limit"] == 1
    assert deployment["work_pool"]["name"] == "lloco"


def test_nights_and_maintenance_have_their_schedules():
    crons = {item["name"]: [schedule["cron"] for schedule in item["schedules"]] for item in FILE["deployments"] if "schedules" in item}
    assert crons == {"nightly": ["0 2 * * *"], "weekly": ["0 12 * * 0"]}
    assert FILE["pull"][0]["prefect.deployments.steps.set_working_directory"]["directory"] == "{{ $LLOCO_HOME }}"
