"""What every result file says about where it was measured, and how a block of a document is replaced."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def provenance(command: str, packages: tuple[str, ...]) -> dict:
    """Command, commit, hardware, and versions of a measurement."""
    return {
        "command": command,
        "commit": commit(),
        "hardware": {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "memory_gb": _memory_gb()},
        "versions": versions(packages),
    }


def commit() -> str | None:
    """The checked out commit; None where there is no repository, as in a copy of the files on a GPU machine."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def between(text: str, start: str, end: str, block: str) -> str:
    """The text with another block between its markers."""
    head, rest = text.split(start)
    _, tail = rest.split(end)
    return f"{head}{start}\n{block}\n{end}{tail}"


def cpu_name() -> str:
    """Name of the processor."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _memory_gb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
