"""Two hundred randomly timed `kill -9` of the driver, over many nights: every night ends as an undisturbed one.

The storm itself, and what is compared after every night, is in `storm.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
KILLS = 200
COMMIT_STAGES = {"commit", "append", "retire", "quarantine"}


@pytest.mark.real
@pytest.mark.timeout(900)
def test_nights_killed_at_random_moments_end_as_undisturbed_ones(tmp_path):
    arguments = [sys.executable, "-m", "tests.crash.storm", str(tmp_path), "1", str(KILLS)]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr[-5000:]
    storm = json.loads(done.stdout)
    kills = storm["kills"]
    sys.stdout.write(f"{storm['nights']} nights, kills by stage: {kills}\n")
    assert sum(kills.values()) == KILLS
    assert max(kills.values()) < KILLS / 2  # a storm that only ever hits one stage shows little
    assert sum(kills.get(stage, 0) for stage in COMMIT_STAGES) > KILLS / 20
