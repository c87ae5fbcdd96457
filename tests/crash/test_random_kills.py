"""Randomly timed `kill -9` of the driver, over many nights: every night ends as an undisturbed one.

The storm itself, and what is compared after every night, is in `storm.py`. Every named step is hit in `test_kill_points.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COMMIT_STAGES = {"commit", "append", "retire", "quarantine"}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("n_kills", [pytest.param(40, marks=pytest.mark.real), pytest.param(200, marks=pytest.mark.long)])
def test_nights_killed_at_random_moments_end_as_undisturbed_ones(tmp_path, n_kills):
    arguments = [sys.executable, "-m", "tests.crash.storm", str(tmp_path), "1", str(n_kills)]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=3500)
    assert done.returncode == 0, done.stderr[-5000:]
    storm = json.loads(done.stdout)
    kills = storm["kills"]
    sys.stdout.write(f"{storm['nights']} nights, kills by stage: {kills}\n")
    assert sum(kills.values()) == n_kills
    assert max(kills.values()) < n_kills / 2  # a storm that only ever hits one stage shows little
    assert sum(kills.get(stage, 0) for stage in COMMIT_STAGES) > n_kills / 20
