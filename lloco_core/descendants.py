"""The processes that this process and its children started."""

from __future__ import annotations

from contextlib import suppress

import psutil


def descendants() -> set[psutil.Process]:
    """Every process below this one that has not ended."""
    return set(psutil.Process().children(recursive=True))


def kill_descendants(but: set[psutil.Process] | frozenset[psutil.Process] = frozenset(), seconds: float = 1.5) -> None:
    """Kill the processes below this one except `but`, and wait up to `seconds` until they are gone.

    What one of them started while it was killed is found in a second pass, as far as it is still below this process.
    """
    for _ in range(2):
        doomed = descendants() - but
        for process in doomed:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(doomed, timeout=seconds)
