"""What every result file says about where it was measured, and how a block of a document is replaced."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def provenance(command: str, packages: tuple[str, ...]) -> dict:
    """Command, commit, hardware, and versions of a measurement."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    return {
        "command": command,
        "commit": commit,
        "hardware": {"cpu": _cpu(), "cores": len(os.sched_getaffinity(0)), "memory_gb": _memory_gb()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def between(text: str, start: str, end: str, block: str) -> str:
    """The text with another block between its markers."""
    head, rest = text.split(start)
    _, tail = rest.split(end)
    return f"{head}{start}\n{block}\n{end}{tail}"


def _cpu() -> str:
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _memory_gb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
