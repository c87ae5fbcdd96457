"""prefect.yaml: valid by Prefect's own model, entry points that exist, parameters that validate."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from lloco_core.config import NightlyConfig
from lloco_core.encoder_training.run import EncoderRunConfig
from lloco_core.fingerprint import digest
from lloco_core.options import parse_options

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


def night_of_make_run() -> NightlyConfig:
    """What `make run` passes to the flow, with nothing set by the caller."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CORPUS", "STORE", "CONFIG", "RUN_DIR", "ARGS", "MAKEFLAGS")}
    command = ["make", "--no-print-directory", "--dry-run", "run"]
    printed = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in printed.splitlines() if "-m flows.nightly" in line]
    return parse_options(shlex.split(line.partition("-m flows.nightly")[2]))


@pytest.mark.parametrize("name", ["nightly", "ad-hoc", "dry-run", "finetune", "register"])
def test_the_deployments_run_the_night_of_make_run(name: str, monkeypatch: pytest.MonkeyPatch):
    """Another recipe on the same store would make each other's adapters stale. Parameters are taken as the worker's engine takes them."""
    monkeypatch.chdir(ROOT)
    [deployment] = [item for item in FILE["deployments"] if item["name"] == name]
    path, _, flow_name = deployment["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), flow_name)
    deployed, expected = flow.validate_parameters(deployment["parameters"])["config"], night_of_make_run()
    assert deployed.public() == expected.public()
    assert digest(deployed.public()) == digest(expected.public())
    assert Path(deployed.closing.file).is_file()  # relative to the checkout, which the pull step goes to


def test_the_stack_brings_the_corpus_that_its_deployments_read():
    rules = dict(re.findall(r"^([a-z-]+): (.*?)(?: ##.*)?$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert "corpus" in rules["stack"].split()
    assert "corpus" in rules["run"].split()


def test_nights_and_maintenance_have_their_schedules():
    crons = {item["name"]: [schedule["cron"] for schedule in item["schedules"]] for item in FILE["deployments"] if "schedules" in item}
    assert crons == {"nightly": ["0 2 * * *"], "weekly": ["0 12 * * 0"]}
    assert FILE["pull"][0]["prefect.deployments.steps.set_working_directory"]["directory"] == "{{ $LLOCO_HOME }}"
