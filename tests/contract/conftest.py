"""What the contract tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import s3_environment
from tests.contract.own_ray import own_ray


@pytest.fixture(scope="session")
def ray_of_contracts(s3_endpoint: str) -> Iterator[None]:
    """One Ray for all modules; its workers reach moto."""
    with own_ray(s3_environment(s3_endpoint)):
        yield
