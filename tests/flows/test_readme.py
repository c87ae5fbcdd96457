"""The README's commands, run as they stand in a copy of the repository, and its generated parts."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.night import END, OUTPUT_END, OUTPUT_START, START, output_block, readme_block
from lloco_core.evaluation.answers import token_f1
from tests.conftest import s3_environment

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
FAIRYTALEQA = ROOT.parent / "shared" / "data" / "fairytaleqa"
COMMAND_SECONDS = 900
QUICK = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3"}  # every checkpoint waits for the next check
FEW_STEPS = {"ARGS": "--finetune.max-steps 2"}
"""For nights whose answers are not looked at; commands stand as they are, make takes `ARGS` from the environment."""

SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", README, flags=re.MULTILINE | re.DOTALL))


def commands(section: str) -> list[str]:
    """The lines a reader would type in a section."""
    blocks = re.findall(r"```console\n(.*?)```", SECTIONS[section], flags=re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_figures_and_output_are_those_of_the_result_files():
    assert README.split(START)[1].split(END)[0].strip() == readme_block()
    assert README.split(OUTPUT_START)[1].split(OUTPUT_END)[0].strip() == output_block()
    assert README.split(report.START)[1].split(report.END)[0].strip() == report.readme_block()


def test_every_make_target_of_the_documents_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    texts = [README, *(path.read_text() for path in [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])]
    named = {target for text in texts for target in re.findall(r"(?:^\$ |`)make ([a-z-]+)", text, flags=re.MULTILINE)}
    assert {"run", "test", "stack"} <= named <= targets
    assert set(commands("Two commands")) == {"make run", "make test"}


def test_links_to_files_resolve():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files that shares this virtual environment."""
    stamp = Path(sys.prefix) / ".installed"
    if not stamp.exists():
        pytest.skip("this environment was not made by `make setup`; the commands would install another one")
    folder = tmp_path_factory.mktemp("readme") / "lloco-pipeline"
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    stamp.touch()
    return folder


def run(command: str, folder: Path, **environment: str) -> str:
    """Run one command of the README; returns all it printed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VENV", "MAKEFLAGS", "MAKELEVEL", "PYTHONPATH", "PREFECT_HOME", "PREFECT_API_URL")
    }
    environment = kept | QUICK | environment
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def answer_scores_of(printed: str) -> tuple[list[float], list[float]]:
    """F1 of the closing answers with and without vectors, against the expected ones; wrapped lines are joined."""
    text = re.sub(r"\n {5,}", " ", printed[printed.index("\nQuestions") :])
    rows = re.findall(r"from vectors: (.*?)  ?\((?:these|not).*?without vectors: (.*?)\n.*?expected: (.*?)\n", text, flags=re.DOTALL)
    return [token_f1(answer, [expected]) for answer, _, expected in rows], [token_f1(without, [expected]) for _, without, expected in rows]


@pytest.mark.real
@pytest.mark.timeout(2 * COMMAND_SECONDS)
def test_a_newcomer_s_first_commands(checkout: Path):
    first = run("make run", checkout)
    assert "documents encoded" in first
    assert first.count("these words stand in the source") >= 3
    from_vectors, without = answer_scores_of(first)
    assert sum(score > 0.5 for score in from_vectors) >= 3, first
    assert max(without) < min(0.5, max(from_vectors))
    assert first.count("registered") >= 2

    ask, status, inspect, doctor = commands("Ask, look, check")
    answer = run(ask, checkout)
    assert token_f1(answer.splitlines()[0], ["a Python 2 and 3 compatibility library"]) > 0.8, answer
    assert "distributions/six.txt" in answer
    assert "python-reference--" in run(status, checkout)
    assert "prefix_hash" in run(inspect, checkout)
    assert "FAIL" not in run(doctor, checkout)


@pytest.mark.real
@pytest.mark.timeout(2 * COMMAND_SECONDS)
def test_fairytales_with_human_questions(checkout: Path):
    if not FAIRYTALEQA.is_dir():
        pytest.skip(f"FairytaleQA is not at {FAIRYTALEQA}")
    (checkout / "FairytaleQAData").symlink_to(FAIRYTALEQA)
    convert, night = commands("Your documents")[1:]
    run(convert, checkout)
    report = run(night, checkout, **FEW_STEPS)
    assert "cluster-00" in report
    assert "cluster-01" in report
    assert report.count("without vectors:") == 4
    summary = json.loads(next((checkout / ".lloco/fairytaleqa/store/_runs").glob("*/summary.json")).read_text())
    assert summary["n_documents"] == 12
    assert len(summary["adapters"]) == 2


@pytest.mark.real
@pytest.mark.timeout(2 * COMMAND_SECONDS)
@pytest.mark.parametrize("s3", ["ceph"], indirect=True)
def test_a_night_on_an_s3_endpoint(checkout: Path, s3):
    export, doctor, night = commands("On S3")
    variables = dict(part.split("=", 1) for part in shlex.split(export)[1:])
    assert variables.keys() <= s3_environment("").keys()
    variables |= s3_environment(s3.meta.endpoint_url)
    for number in range(6):
        text = f"Report {number}. " + "The quarterly figures were presented to the board. " * 20
        s3.put_object(Bucket="company", Key=f"documents/board/{number}.txt", Body=text.encode())
    assert "honours create-only writes" in run(doctor, checkout, **variables)
    assert "board (6)" in run(night, checkout, **variables, **FEW_STEPS)
    assert s3.list_objects_v2(Bucket="company", Prefix="lloco/adapters/board--")["KeyCount"] == 3
