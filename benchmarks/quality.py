"""What vectors are for: facts read from them, and the perplexity of the text that follows what they compress.

Shape suffixes: T tokens, P vectors of a document, H hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lloco_core.answer.local import LocalAnswerer
from lloco_core.compressor import AutoCompressor
from lloco_core.config import AnswerConfig
from lloco_core.evaluation.answers import needle_found
from lloco_core.evaluation.cities import FOR_TESTS
from lloco_core.evaluation.continuation import following_losses
from lloco_core.evaluation.needle import NEEDLE, QUESTION, insert_needle

DOCUMENTS = 10
CONTEXT_SEGMENTS = 2
"""Full segments that are compressed before the text whose perplexity is taken."""
FOLLOWING = 512
"""Tokens of that text."""
HAYSTACK = 2048
"""Tokens of a document that a needle is put into: a full segment and the beginning of another."""
CITIES = FOR_TESTS[:12]
DEPTHS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)

Texts = dict[str, str]
Vectors = dict[str, np.ndarray]
"""Name -> vectors [P, H]."""


@dataclass(frozen=True, slots=True)
class Case:
    """A document with a needle in it."""

    name: str
    city: str
    text: str


@dataclass(frozen=True, slots=True)
class Continuation:
    """A compressed beginning of a document and the tokens that follow it."""

    name: str
    context_T: np.ndarray
    following_T: np.ndarray


def measure_reading(reader: AutoCompressor, encode: Callable[[list[np.ndarray]], list[torch.Tensor]]) -> dict:
    """Facts found in the vectors of `encode` and the perplexity of what follows them, as `reader` sees it."""
    texts = longest(read_texts(None), reader)
    cases, continuations = needle_cases(texts, reader), [continuation(name, text, reader) for name, text in texts.items()]
    inputs_T = {case.name: reader.tokenize(case.text)[0] for case in cases} | {item.name: item.context_T for item in continuations}
    found = {name: vectors.float().numpy() for name, vectors in zip(inputs_T, encode(list(inputs_T.values())), strict=True)}
    return {
        "needles_found": n_found(answers(cases, found, reader), cases),
        "needles": len(cases),
        "perplexity": perplexity(continuations, [found[item.name] for item in continuations], reader),
        "perplexity_without_vectors": perplexity(continuations, [None] * len(continuations), reader),
    }


def read_texts(folder: Path | None) -> Texts:
    """The .txt files of a folder, or the topics of Python's help()."""
    if folder is None:
        from pydoc_data.topics import topics

        return dict(topics)
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}


def longest(texts: Texts, encoder: AutoCompressor) -> Texts:
    """The `DOCUMENTS` longest texts; a text too short for the context and what follows it is refused."""
    chosen = dict(sorted(texts.items(), key=lambda item: (-len(item[1]), item[0]))[:DOCUMENTS])
    needed = CONTEXT_SEGMENTS * encoder.segment_length + FOLLOWING
    short = [name for name, text in chosen.items() if len(encoder.tokenize(text)[0]) < needed]
    if short or len(chosen) < DOCUMENTS:
        raise SystemExit(f"{len(chosen) - len(short)} documents have {needed} tokens or more, {DOCUMENTS} are needed; name another folder")
    return chosen


def continuation(name: str, text: str, encoder: AutoCompressor) -> Continuation:
    """Cut a document into what is compressed and what follows."""
    ids_T, cut = encoder.tokenize(text)[0], CONTEXT_SEGMENTS * encoder.segment_length
    return Continuation(name, ids_T[:cut], ids_T[cut : cut + FOLLOWING])


def needle_cases(texts: Texts, encoder: AutoCompressor) -> list[Case]:
    """Every document with a needle at every depth, at the next end of a sentence; cities take turns.

    The committed figures are of these cases. `evaluation.needle.build_cases` has others: it counts the needle's tokens in the length
    and passes over cities that the haystack names.
    """
    cases = []
    for text in texts.values():
        end = encoder.tokenize(text)[1][HAYSTACK - 1, 1]
        hay = text[:end]
        for depth in DEPTHS:
            city = CITIES[(len(cases) + len(cases) // len(CITIES)) % len(CITIES)]
            cases.append(Case(f"needle-{len(cases)}", city, insert_needle(hay, depth, NEEDLE.format(city=city))))
    return cases


def answers(cases: list[Case], stored: Vectors, encoder: AutoCompressor) -> list[str]:
    """What the model reads from the vectors, per case."""
    answerer = LocalAnswerer(encoder, AnswerConfig(max_new_tokens=8))
    return [city_of(answerer.answer(QUESTION, stored[case.name])) for case in cases]


def n_found(answers: list[str], cases: list[Case]) -> int:
    """Answers that hold the city."""
    return sum(needle_found(answer, case.city) for answer, case in zip(answers, cases, strict=True))


def city_of(answer: str) -> str:
    """An answer without the sentence around it."""
    return answer.strip().rstrip(".")


def perplexity(continuations: list[Continuation], vectors: list[np.ndarray | None], encoder: AutoCompressor) -> float:
    """Of the following tokens but the first, which nothing precedes where there are no vectors."""
    losses = [
        following_losses(encoder.model, [item.following_T], [vectors_PH]) for item, vectors_PH in zip(continuations, vectors, strict=True)
    ]
    return round(math.exp(sum(loss.sums_N.sum() for loss in losses) / sum(loss.tokens_N.sum() for loss in losses)), 3)
