"""Processes that all begin with the same object: a tokenizer, or a source of batches."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any


@contextmanager
def process_pool(number: int, begin: Callable[[Any], None], given: Any) -> Iterator[Executor]:
    """`number` processes, each of which calls `begin(given)` before its first task.

    `given` lies in a file: what a pipe cannot hold keeps one child from starting until the last has read it.
    """
    with tempfile.TemporaryDirectory(prefix="lloco-processes-") as folder:
        path = Path(folder, "given.pickle")
        path.write_bytes(pickle.dumps(given))
        # spawn: a forked child would inherit the threads' locks of tokenizers, torch, and boto3
        with ProcessPoolExecutor(number, get_context("spawn"), initializer=_begin, initargs=(begin, path)) as pool:
            yield pool


def _begin(begin: Callable[[Any], None], path: Path) -> None:
    begin(pickle.loads(path.read_bytes()))  # noqa: S301 (written by the parent)
