"""The packaged checkpoint on books, through the measures: its vectors help, another book's do not, and needles are found in them."""

import io
import json

import pytest
import zstandard

from lloco_core.answer.local import LocalAnswerer
from lloco_core.compressor import load_encoder
from lloco_core.config import AnswerConfig
from lloco_core.evaluation.continuation import FOLLOWING, SEGMENTS, Continuations, cut_windows
from lloco_core.evaluation.needle import build_cases
from lloco_core.evaluation.needle_table import needle_table
from lloco_core.evaluation.perplexity import CONDITIONS, perplexity_table

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def books(published):
    """Ids and 60,000 characters from within the first books."""
    with published("text/gutenberg-00.jsonl.zst").open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(file), encoding="utf-8")
        rows = [json.loads(line) for line, _ in zip(lines, range(4), strict=False)]
    return {row["id"]: row["text"][20_000:80_000] for row in rows}


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("reference")


def test_vectors_lower_the_perplexity_of_what_follows(books, encoder):
    windows = cut_windows({name: encoder.tokenize(text)[0] for name, text in books.items()}, SEGMENTS * encoder.segment_length)
    found, conditions = Continuations(encoder, windows), CONDITIONS[2:]
    table = perplexity_table(found.losses, found.documents, conditions)
    assert list(table) == [*conditions, "intervals", "tokens"]
    assert table["text"] < table["none"]
    assert max(table[f"vectors_{segments}"] for segments in (1, 2, 3)) < min(table["none"], table["wrong"])
    assert table["tokens"] == 4 * (FOLLOWING - 1)
    for condition in conditions:
        low, high = table["intervals"][condition]
        assert low < table[condition] < high


def test_needles_are_read_from_vectors(books, encoder):
    two = dict(list(books.items())[:2])
    cases = build_cases(two, encoder.tokenize, [1500], depths=(0.25, 0.5, 0.75))
    vectors = encoder.encode([case.token_ids_T for case in cases])
    answerer = LocalAnswerer(encoder, AnswerConfig(max_new_tokens=8))
    answers = {case.case_id: answerer.answer(case.question, vectors_PH.numpy()) for case, vectors_PH in zip(cases, vectors, strict=True)}
    assert needle_table(cases, answers)["mean"] >= 0.5
    without = answerer.answer(cases[0].question, None)
    assert needle_table(cases, dict.fromkeys(answers, without))["mean"] <= 1 / 6  # at most the one city it always says
