"""docs/recovery.md promises nothing without a test: every test it names exists, and every kill point is on the page."""

import re
from pathlib import Path

import pytest

from tests.crash.loop import POINTS
from tests.crash.test_kill_points import TWICE

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "recovery.md").read_text()
NAMED = sorted(set(re.findall(r"tests/[\w/]+\.py(?:::\w+)?", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name):
    path, _, function = name.partition("::")
    source = (REPOSITORY / path).read_text()
    assert not function or f"def {function}(" in source


def test_every_kill_point_is_told():
    told = set(re.findall(r"`((?:before|after|between|in) [^`]+)`", PAGE))
    assert told == {*POINTS, TWICE}
    assert len(NAMED) > 15
