"""The public data sets that may lie beside the repository; where one is absent its tests are skipped and say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="session")
def published() -> Callable[[str], Path]:
    """The path of a published data set by its name below the data folder."""

    def locate(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"no {name} at {DATA}: not tested on the published files")
        return DATA / name

    return locate


@pytest.fixture(autouse=True, scope="module")
def all_on_one_thread(one_thread: None) -> None:
    """Every test of this folder."""
