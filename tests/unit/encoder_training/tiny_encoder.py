"""Two-layer encoders, batches of random text, and a source of batches that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import PreTrainedModel

from lloco_core.encoder_training.batch import Answer, Batch
from lloco_core.encoder_training.module import AutoCompressorModule
from lloco_core.encoder_training.recipe import AutoCompressorConfig, EncoderTrainingConfig
from tests.tiny_models import random_lm

HIDDEN = 32
SUMMARY = 3
VOCABULARY = 61

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama_tied": ("llama", {"tie_word_embeddings": True}),
    "llama_untied": ("llama", {"tie_word_embeddings": False}),
    "mistral_window": ("mistral", {"sliding_window": 9, "tie_word_embeddings": False}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
}

torch.set_num_threads(1)  # a second thread waits for a busy core in every operation


def tiny_model(base: str = "llama_tied", seed: int = 0, **changes: Any) -> PreTrainedModel:
    family, own = BASES[base]
    shared = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.1,
    }
    return random_lm(family, seed, **shared | own | changes)


def summary_embedding(seed: int = 5) -> torch.Tensor:
    return torch.randn(SUMMARY, HIDDEN, generator=torch.Generator().manual_seed(seed)) * 0.3


def tiny_module(base: str = "llama_tied", **changes: Any) -> AutoCompressorModule:
    return AutoCompressorModule(tiny_model(base, **changes), summary_embedding())


def objective_config(**changes: Any) -> AutoCompressorConfig:
    return AutoCompressorConfig(**{"summary_length": SUMMARY, **changes})


def recipe(**changes: Any) -> EncoderTrainingConfig:
    quick = {"learning_rate": 3e-3, "warmup_steps": 0, "steps": 6, "batches_per_step": 2, "checkpoint_steps": 1000}
    return EncoderTrainingConfig(**{**quick, **changes})


def tokens(*shape: int, seed: int) -> torch.Tensor:
    return torch.randint(3, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def answer(row: int, after: int, n_prompt: int, n_answer: int) -> Answer:
    ids = tokens(n_prompt + n_answer, seed=1000 * row + 10 * after + n_prompt)
    return Answer(row, after, ids[:n_prompt], ids[n_prompt:])


def random_batch(number: int) -> Batch:
    """Some batches have answers and some have none."""
    answers = [answer(0, 5 + number % 9, 2, 3), answer(1, 20, 1, 1 + number % 2)] if number % 3 else []
    return Batch(tokens(2, 24, seed=number), answers)


class CountedSource:
    """Batches made from their number; rank r of N gets r, r + N, ..."""

    def __init__(self, make: Callable[[int], Batch] = random_batch, rank: int = 0, ranks: int = 1) -> None:
        self.make, self.ranks, self.next = make, ranks, rank

    def __iter__(self) -> Iterator[Batch]:
        while True:
            number = self.next
            self.next += self.ranks
            yield self.make(number)

    def state_dict(self) -> dict[str, Any]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next = state["next"]
