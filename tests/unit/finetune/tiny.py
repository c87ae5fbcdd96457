"""A training set-up small enough for a unit test: byte tokenizer, two-layer LLaMA, invented vectors and questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lloco_core.config import AnswerConfig, FinetuneConfig
from lloco_core.finetune.rows import Example, FinetuneDataset
from tests.tiny_models import random_lm

HIDDEN = 64

torch.set_num_threads(1)  # a second thread waits for a busy core in every operation


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    specials = ["<unk>", "<s>", "</s>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*specials, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def tiny_model(seed: int = 0, kv_heads: int = 2) -> PreTrainedModel:
    shape = {"vocab_size": 259, "hidden_size": HIDDEN, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": kv_heads}
    return random_lm("llama", seed, **shape, max_position_embeddings=512, initializer_range=0.1, tie_word_embeddings=True)


def vectors_of(doc_id: str) -> np.ndarray:
    """Vectors of an invented document, [2 + last digit of its id, HIDDEN]."""
    number = int(doc_id.removeprefix("doc"))
    return np.random.default_rng(number).normal(size=(2 + number % 10, HIDDEN)).astype(np.float16)


def examples(count: int = 10) -> list[Example]:
    return [
        Example(f"doc{number}", f"What is number {number}?", "It is " + "very " * (number % 3) + f"{number * 7}.")
        for number in range(count)
    ]


def dataset(count: int = 10) -> FinetuneDataset:
    return FinetuneDataset(examples(count), vectors_of, tiny_tokenizer(), AnswerConfig())


def recipe(**changes: object) -> FinetuneConfig:
    quick = {"dropout": 0.0, "learning_rate": 1e-2, "global_batch": 4, "micro_batch": 2, "epochs": 2, "checkpoint_steps": 1000}
    return FinetuneConfig(**{**quick, **changes})


def ignore(progress: object, folder: Path | None) -> None:
    """A report callback that keeps nothing."""
