"""What the engine computed, step by step."""

from __future__ import annotations

import pytest
import torch

from lloco_core.compressor import ContextEncoder
from lloco_core.compressor.decoder import PackedStep
from lloco_core.compressor.memory import KeyValueMemory


def count_steps(encoder: ContextEncoder, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """New positions per chain in every step from now on."""
    steps: list[list[int]] = []
    run = encoder.engine.decoder

    def counted(step: PackedStep, memory: KeyValueMemory) -> torch.Tensor:
        steps.append(step.spans.query_lengths)
        return run(step, memory)

    monkeypatch.setattr(encoder.engine, "decoder", counted)
    counted.device, counted.shape = run.device, run.shape
    return steps
