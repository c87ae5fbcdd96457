"""Where the card's time goes while an engine runs: kernels by category, and idle time.

A thread records a window in the middle of an encoding, when neither its start nor its end is near. The recorder sees the kernels
of the whole process.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch

WINDOW_SECONDS = 1.5
TOP = 15
CATEGORIES = (  # the first that matches
    ("attention", r"flash|fmha|attention|attn|sdpa|flex"),
    ("copies", r"memcpy|memset|CatArray|copy_kernel|copy_device|index_select|gather|scatter|index_put|index_elementwise"),
    ("matrix products", r"gemm|nvjet|cutlass|xmma|cublas|wgmma|triton_tem.*mm|triton_mm|scaled_mm"),
)
REST = "elementwise, norm, rotary"


class Kernel(NamedTuple):
    """One run of a kernel: name, nanoseconds of start and duration."""

    name: str
    start: int
    duration: int


def category(name: str) -> str:
    """The category of a kernel's name."""
    return next((label for label, pattern in CATEGORIES if re.search(pattern, name, re.IGNORECASE)), REST)


def profile_window(encode: Callable[[], object], seconds: float) -> list[Kernel]:
    """Kernels within a window of an encoding that is known to take so many seconds."""
    profile_whole(torch.cuda.synchronize)  # the recorder can only be set up by the main thread
    kernels: list[Kernel] = []
    recorder = threading.Thread(target=_record, args=(kernels, 0.4 * seconds, min(WINDOW_SECONDS, 0.3 * seconds)))
    recorder.start()
    encode()
    torch.cuda.synchronize()
    recorder.join()
    return kernels


def _record(kernels: list[Kernel], delay: float, window: float) -> None:
    pause = threading.Event()
    pause.wait(delay)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        pause.wait(window)
    kernels.extend(_on_card(profiler))


def profile_whole(encode: Callable[[], object]) -> list[Kernel]:
    """Kernels of a whole encoding."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        encode()
        torch.cuda.synchronize()
    return _on_card(profiler)


def _on_card(profiler: torch.profiler.profile) -> list[Kernel]:
    events = profiler.profiler.kineto_results.events()
    cuda = torch.autograd.DeviceType.CUDA
    return [Kernel(event.name(), event.start_ns(), event.duration_ns()) for event in events if event.device_type() == cuda]


def summary(kernels: list[Kernel]) -> str:
    """Milliseconds and share per category with the idle time, then the longest kernels."""
    if not kernels:
        return "no kernels were recorded"
    wall = max(kernel.start + kernel.duration for kernel in kernels) - min(kernel.start for kernel in kernels)
    by_category, by_name, runs = defaultdict(int), defaultdict(int), defaultdict(int)
    for kernel in kernels:
        by_category[category(kernel.name)] += kernel.duration
        by_name[kernel.name] += kernel.duration
        runs[kernel.name] += 1
    by_category["idle"] = wall - _covered(kernels)
    lines = [f"{wall / 1e6:.1f} ms, {len(kernels)} kernels; kernels that run at the same time count in full", ""]
    lines += [f"{nanoseconds / 1e6:>10.1f} ms {nanoseconds / wall:>6.1%}  {label}" for label, nanoseconds in _descending(by_category)]
    lines += ["", f"The {TOP} longest kernels: ms, share, runs, category, name"]
    for name, nanoseconds in _descending(by_name)[:TOP]:
        lines.append(f"{nanoseconds / 1e6:>10.1f} ms {nanoseconds / wall:>6.1%} {runs[name]:>6}  {category(name):<26} {name[:150]}")
    return "\n".join(lines) + "\n"


def _descending(totals: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(totals.items(), key=lambda item: -item[1])


def _covered(kernels: Iterable[Kernel]) -> int:
    """Nanoseconds in which at least one kernel runs."""
    covered, reached = 0, 0
    for kernel in sorted(kernels, key=lambda kernel: kernel.start):
        end = kernel.start + kernel.duration
        covered += max(0, end - max(kernel.start, reached))
        reached = max(reached, end)
    return covered


def write_profile(path: Path, encode: Callable[[], object], seconds: float) -> str:
    """Record an encoding that is known to take so many seconds, write what was found to a file, and return it."""
    kernels, how = profile_window(encode, seconds), f"a window of an encoding of {seconds:.1f} s"
    if not kernels:
        kernels, how = profile_whole(encode), "a whole encoding"
    text = f"{path.stem}: {how}\n{summary(kernels)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return text
