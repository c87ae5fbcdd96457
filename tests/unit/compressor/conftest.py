"""Checkpoints written into a temporary folder, and the packaged reference encoder loaded once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import Tiny, write_checkpoint

from lloco_core.compressor import AutoCompressor, load_encoder


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Tiny]:
    """Write a random checkpoint; arguments as in `tiny_checkpoints.write_checkpoint`."""
    written = iter(range(100))

    def write(*args: object, **options: object) -> Tiny:
        return write_checkpoint(tmp_path / f"checkpoint{next(written)}", *args, **options)

    return write


@pytest.fixture(scope="session")
def reference() -> AutoCompressor:
    return load_encoder("reference")
