"""Needle in a haystack (method, section 5): one sentence hidden in a text of every length at every depth, and a question about it.

A case is text, token ids, question, and answer: any encoder can be asked. Haystack and needle, counted apart, have `length` - 180 tokens,
which leaves room for question and answer. The needle stands where a sentence ends: at depth 0 before the first word, at depth 1 after the
last one, else at the first sentence end at or behind its depth.

Shape suffixes: T tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lloco_core.errors import DatasetError
from lloco_core.evaluation.cities import FOR_TESTS

NEEDLE, QUESTION = "The magic city is {city}. ", "What is the magic city?"
RESERVED = 180
"""Tokens of a length that are left for question and answer."""
DEPTHS = tuple(round(0.1 * tenth, 1) for tenth in range(11))

_SENTENCE_END = re.compile(r"[.!?]\s+")
_LINE_END = re.compile(r"\n\s*")
_LONGEST_SENTENCE = 2000
"""Characters without a sentence's end, after which the end of a line is taken: tables, verse, code."""

Tokenize = Callable[[str], tuple[np.ndarray, np.ndarray]]
"""Text -> token ids [T] and character ranges [T, 2], as an encoder's `tokenize`."""


@dataclass(frozen=True, slots=True)
class NeedleCase:
    """One haystack with its needle."""

    case_id: str
    document_id: str
    """The haystack: what intervals draw as a whole."""
    length: int
    """Tokens asked for; the text has 180 fewer, one or two more or less where tokens merge at the needle."""
    depth: float
    text: str
    token_ids_T: np.ndarray
    question: str
    answer: str


def even_lengths(longest: int, number: int, shortest: int = 1000) -> list[int]:
    """`number` lengths in even steps."""
    return [round(length) for length in np.linspace(shortest, longest, number)]


def build_cases(
    haystacks: Mapping[str, str],
    tokenize: Tokenize,
    lengths: Sequence[int],
    depths: Sequence[float] = DEPTHS,
    cities: Sequence[str] = FOR_TESTS,
) -> list[NeedleCase]:
    """One case per haystack, length, and depth; cities take turns, those that a haystack names are passed over.

    Raises:
        DatasetError: a haystack is too short for the longest length, a length leaves no room, or a haystack names all cities.
    """
    cases: list[NeedleCase] = []
    for name, text in haystacks.items():
        usable = [city for city in cities if city.lower() not in text.lower()]
        if not usable:
            raise DatasetError(f"haystack {name!r} names all {len(cities)} cities; use another text or other cities")
        ids_T, ranges_T2 = tokenize(text)
        for length in lengths:
            for depth in depths:
                city = usable[(len(cases) + len(cases) // len(usable)) % len(usable)]
                needle = NEEDLE.format(city=city)
                hay = _cut(name, text, ids_T, ranges_T2, length - RESERVED - len(tokenize(needle)[0]))
                cases.append(_case(f"{name}/{length}/{depth:g}", name, length, depth, hay, city, tokenize))
    return cases


def insert_needle(hay: str, depth: float, needle: str) -> str:
    """A text with a needle in it; depth 0 is its beginning, 1 its end."""
    at = _place(hay, depth)
    space = " " if at == len(hay) and hay and not hay[-1].isspace() else ""
    return hay[:at] + space + needle + hay[at:]


def _place(hay: str, depth: float) -> int:
    start = int(depth * len(hay))
    if start == 0:
        return 0
    found = _SENTENCE_END.search(hay, start, start + _LONGEST_SENTENCE) or _LINE_END.search(hay, start, start + _LONGEST_SENTENCE)
    return found.end() if found else len(hay)


def _cut(name: str, text: str, ids_T: np.ndarray, ranges_T2: np.ndarray, budget: int) -> str:
    if budget < 1:
        raise DatasetError(f"a length of {budget + RESERVED} tokens and the needle leave no room for a haystack; use longer ones")
    if len(ids_T) < budget:
        raise DatasetError(f"haystack {name!r} has {len(ids_T)} tokens, {budget} are needed; use longer texts or join several")
    return text[: ranges_T2[budget - 1, 1]]


def _case(case_id: str, name: str, length: int, depth: float, hay: str, city: str, tokenize: Tokenize) -> NeedleCase:
    text = insert_needle(hay, depth, NEEDLE.format(city=city))
    return NeedleCase(case_id, name, length, depth, text, tokenize(text)[0], QUESTION, city)
