"""Functions in the place of `parse_object` that do to their process what a broken parser library does."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from lloco_core.config import CorpusConfig
from lloco_core.corpus.formats import parse_object
from lloco_core.types import Document, Rejection, SourceObject

Found = Iterator[Document | Rejection]


def crash(data: bytes, source: SourceObject, config: CorpusConfig) -> Found:
    """Read; die of a segmentation fault where the text says so."""
    yield from parse_object(data, source, config)
    if data == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)


def crash_once(data: bytes, source: SourceObject, config: CorpusConfig) -> Found:
    """Die after the first document, but only while the file that the text names is missing."""
    yield from parse_object(data, source, config)
    marker = Path(data.decode())
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def leave(data: bytes, source: SourceObject, config: CorpusConfig) -> Found:
    """End the process as a library that calls exit does."""
    yield from parse_object(data, source, config)
    sys.exit(3)


def hold_on(pid_file: bytes) -> Iterator[int]:
    """Say which process this is, then never return from C code that does not release the interpreter."""
    Path(pid_file.decode()).write_text(str(os.getpid()))
    yield len(re.findall("(a+)+$", "a" * 60 + "b"))


def loaded() -> Iterator[str]:
    """The modules of this process."""
    yield from sys.modules


def process_id() -> Iterator[int]:
    yield os.getpid()
