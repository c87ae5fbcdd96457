"""The checkpoint that travels in the package: its size, its identity, and that its vectors can be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
import torch

from lloco_core.answer.local import LocalAnswerer
from lloco_core.compressor import AutoCompressor, load_encoder, locate_checkpoint
from lloco_core.compressor.checkpoint import checkpoint_digest
from lloco_core.compressor.loading import encoder_identity
from lloco_core.config import AnswerConfig

NEEDLE = "The magic city is {city}.\n"
QUESTION = "What is the magic city?"


def haystack(encoder: AutoCompressor, n_tokens: int) -> list[str]:
    """Lines of the interpreter's own documentation, about `n_tokens` in all."""
    longest = sorted(topics, key=lambda name: (-len(topics[name]), name))
    lines = "".join(topics[name] for name in longest[3:8]).splitlines(keepends=True)
    ends = accumulate(len(encoder.tokenize(line)[0]) for line in lines)
    return [line for line, end in zip(lines, ends, strict=True) if end <= n_tokens]


@pytest.fixture(scope="module")
def read_needle(reference: AutoCompressor) -> Callable[..., str]:
    """Answer the question from the vectors of a haystack; with a city, the needle stands at a depth of 0 to 1."""
    lines = haystack(reference, 1500)
    answerer = LocalAnswerer(reference, AnswerConfig(max_new_tokens=10))

    def answer(city: str | None, depth: float = 0.5) -> str:
        place = int(len(lines) * depth)
        text = "".join([*lines[:place], NEEDLE.format(city=city) if city else "", *lines[place:]])
        ids, _ = reference.tokenize(text)
        assert 1400 < len(ids) < 1600
        (vectors,) = reference.encode([ids])
        return answerer.answer(QUESTION, vectors.numpy())

    return answer


@pytest.mark.parametrize(("city", "depth"), [("Nairobi", 0.3), ("Nairobi", 0.5), ("Nairobi", 0.8), ("Lisbon", 0.6)])
def test_a_needle_is_read_from_the_vectors(read_needle: Callable[..., str], city: str, depth: float) -> None:
    assert city in read_needle(city, depth)


def test_the_needle_comes_from_nowhere_else(reference: AutoCompressor, read_needle: Callable[..., str]) -> None:
    assert "Nairobi" not in LocalAnswerer(reference, AnswerConfig(max_new_tokens=10)).answer(QUESTION, None)
    assert "Nairobi" not in read_needle(None)


def test_it_is_small_enough_for_the_repository() -> None:
    files = [path for path in locate_checkpoint("reference").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 31_000_000
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}


def test_it_has_the_published_proportions(reference: AutoCompressor) -> None:
    assert (reference.segment_length, reference.summary_length, reference.accumulate) == (1536, 50, True)
    assert reference.hidden_size == reference.model.config.hidden_size == 512
    assert len(reference.tokenizer) <= reference.model.config.vocab_size
    assert all(torch.isfinite(tensor).all() for tensor in reference.model.state_dict().values())


def test_the_fingerprint_is_stable_over_loads(reference: AutoCompressor) -> None:
    checkpoint_digest.cache_clear()
    again = load_encoder("reference", fast=False, batch_tokens=1)
    assert again.fingerprint == reference.fingerprint
    assert len(again.fingerprint) == 24
    assert int(again.fingerprint, 16) > 0


def test_the_fingerprint_names_number_format_and_segment_length(reference: AutoCompressor) -> None:
    bfloat16 = load_encoder("reference", dtype="bfloat16")
    shorter = load_encoder("reference", segment_length=512)
    assert len({reference.fingerprint, bfloat16.fingerprint, shorter.fingerprint}) == 3
    assert encoder_identity("reference", "float32", None)[:2] == (reference.fingerprint, 1536)
    assert encoder_identity("reference", "float32", 1536)[:2] == (reference.fingerprint, 1536)
    assert encoder_identity("reference", "bfloat16", None)[:2] == (bfloat16.fingerprint, 1536)
    assert encoder_identity("reference", "float32", 512)[:2] == (shorter.fingerprint, 512)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_the_fingerprint_names_every_file_the_vectors_depend_on(reference: AutoCompressor, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(locate_checkpoint("reference"), tmp_path / "copy"))
    assert encoder_identity(str(copy), "float32", None)[0] == reference.fingerprint  # a path is no part of it
    changed = Path(shutil.copytree(copy, tmp_path / "changed"))
    data = (changed / name).read_bytes()
    (changed / name).write_bytes(data + b"\n" if name.endswith(".json") else data[:-1] + bytes([data[-1] ^ 1]))
    assert encoder_identity(str(changed), "float32", None)[0] != reference.fingerprint


def test_vectors_fit_into_the_stores_float16(reference: AutoCompressor) -> None:
    (vectors,) = reference.encode([reference.tokenize(topics["if"] + "\u00a0東京 </s>")[0]])
    assert np.isfinite(vectors.numpy().astype(np.float16)).all()
    assert (vectors - vectors.half().float()).abs().max() < 0.02
