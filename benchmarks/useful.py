"""What an encoder has to compute at least, and how fast the machine could compute it.

Useful operations of a segment: `2 * P * q + 4 * layers * width * q * kv` with P parameters of the decoder layers, width = heads * head_dim,
q newly encoded positions (vectors of the segment before, the segment, the summary tokens), and kv keys that each of them sees on average.
Positions encoded again, padding, embeddings, and sampling do not count, so engines of any kind can be compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CUDA_EDGE, CPU_EDGE = 8192, 2048
WARMUPS, REPEATS = 3, 10
REST_SECONDS = 2.0
"""Before the short measurement of a card, so that it is not one of a card still slowed down by the rows before."""
SUSTAINED_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a token costs in a decoder: parameters of its layers, their number, and heads * head_dim."""

    layer_parameters: int
    layers: int
    width: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> Cost:
        """Read it off a model."""
        config = model.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        parameters = sum(parameter.numel() for parameter in model.get_decoder().layers.parameters())
        return cls(parameters, config.num_hidden_layers, config.num_attention_heads * head_dim)


def useful_operations(lengths: Iterable[int], cost: Cost, segment_length: int, summary_length: int) -> float:
    """Floating point operations that encoding documents of these token counts takes with full reuse of the soft prompt."""
    total = 0.0
    for n_tokens in lengths:
        for index, start in enumerate(range(0, n_tokens, segment_length)):
            new_vectors = summary_length if index else 0
            kept = max(index - 1, 0) * summary_length
            q = new_vectors + min(segment_length, n_tokens - start) + summary_length
            kv = kept + (q + 1) / 2
            total += 2 * cost.layer_parameters * q + 4 * cost.layers * cost.width * q * kv
    return total


def matrix_ceiling(device: str, dtype: torch.dtype, seconds: float = 0.0) -> float:
    """TFLOP/s of a large square matrix product on random data in this format, the median of many.

    A few products after a rest run at the card's full clock. Over `seconds` the card settles at the clock that its power limit
    allows; no work that goes on for longer is faster than that.
    """
    if device.startswith("cuda") and not seconds:
        time.sleep(REST_SECONDS)
    edge = CUDA_EDGE if device.startswith("cuda") else CPU_EDGE
    left, right = (torch.randn(edge, edge, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    return _tflops(lambda: torch.mm(left, right, out=out), device, edge, seconds)


def fp8_ceiling(device: str) -> float | None:
    """The same for float8 operands with one scale each; None where the device has no such product."""
    if not device.startswith("cuda") or torch.cuda.get_device_capability(device) < (8, 9):
        return None
    left, right = (torch.randn(CUDA_EDGE, CUDA_EDGE, device=device).to(torch.float8_e4m3fn) for _ in range(2))
    one = torch.ones((), device=device)
    transposed = right.t()  # the product wants its second operand column by column

    def multiply() -> None:
        torch._scaled_mm(left, transposed, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True)

    try:
        return _tflops(multiply, device, CUDA_EDGE)
    except RuntimeError as error:
        print(f"no float8 ceiling: {error}", flush=True)
        return None


def _tflops(multiply: Callable[[], object], device: str, edge: int, least_seconds: float = 0.0) -> float:
    measure = _cuda_seconds if device.startswith("cuda") else _cpu_seconds
    started, seconds = time.monotonic(), measure(multiply)
    while time.monotonic() - started < least_seconds:
        seconds = measure(multiply)
    return 2 * edge**3 / statistics.median(seconds) / 1e12


def _cuda_seconds(multiply: Callable[[], object]) -> list[float]:
    for _ in range(WARMUPS):
        multiply()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(REPEATS + 1)]
    events[0].record()
    for event in events[1:]:
        multiply()
        event.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) / 1000 for start, end in pairwise(events)]


def _cpu_seconds(multiply: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(2 + REPEATS // 5):
        start = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - start)
    return seconds[2:]
