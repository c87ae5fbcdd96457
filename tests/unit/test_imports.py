"""The floors of the architecture: imports point down, ray and prefect stay where they belong, flows load fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "transformers", "ray", "deepspeed", "lance", "lancedb", "peft"}


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def _roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in _imported(path)}


@pytest.mark.parametrize("path", _modules("lloco_core"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_no_orchestrator(path: Path):
    roots = _roots(path)
    assert not roots & {"prefect", "flows", "tasks"}
    if "distributed" not in path.parts:
        assert "ray" not in roots


@pytest.mark.parametrize("path", _modules("tasks"), ids=lambda path: path.name)
def test_tasks_import_no_flows_and_no_ray(path: Path):
    assert not _roots(path) & {"flows", "ray", "boto3", "lance", "lancedb"}


@pytest.mark.parametrize("path", _modules("flows"), ids=lambda path: path.name)
def test_flows_import_no_ray(path: Path):
    assert not _roots(path) & {"ray", "boto3", "lance", "lancedb", "torch"}


def test_only_settings_reads_the_environment():
    readers = [path.name for path in _modules("lloco_core") if "os.environ[" in path.read_text() or "os.getenv" in path.read_text()]
    assert readers == []


def test_flows_load_without_torch_or_ray():
    code = f"import sys, flows.nightly, flows.train_encoder; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_and_functions_stay_readable():
    for folder in ("flows", "tasks", "lloco_core", "infra"):
        for path in _modules(folder):
            source = path.read_text()
            assert source.count("\n") <= 400, path
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno <= 60, f"{path}: {node.name}"
