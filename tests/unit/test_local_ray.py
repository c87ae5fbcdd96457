"""Starting Ray on a machine that is busy: what ends by Ray's own patience is tried again, anything else is not."""

import pytest
import ray

from lloco_core.distributed.session import START_ATTEMPTS, start_local_ray

BUSY = Exception("The current node timed out during startup.")
SLOW = TimeoutError("Timed out after 30 seconds while waiting for node to startup.")


@pytest.fixture
def starts(monkeypatch):
    """What the next starts end with, which is taken from the front; None is a success."""
    outcomes = []

    def init(**_):
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    monkeypatch.setattr(ray, "init", init)
    return outcomes


@pytest.mark.parametrize("ends", [[None], [BUSY, None], [SLOW, BUSY, None]])
def test_a_start_that_timed_out_is_tried_again(starts, ends):
    starts += [*ends, None]
    start_local_ray(1, 100)
    assert starts == [None]


def test_it_is_not_tried_for_ever(starts):
    starts += [BUSY] * START_ATTEMPTS + [None]
    with pytest.raises(Exception, match="timed out during startup"):
        start_local_ray(1, 100)
    assert starts == [None]


def test_another_error_is_raised_at_once(starts):
    starts += [ValueError("The configured object store size is too small"), None]
    with pytest.raises(ValueError, match="too small"):
        start_local_ray(1, 100)
    assert starts == [None]
