"""Needle cases: budgets, places, cities; their table and their heat map."""

import re
from itertools import product

import numpy as np
import pytest

from lloco_core.compressor import locate_checkpoint
from lloco_core.compressor.tokenizing import load_tokenizer, tokenize
from lloco_core.errors import ConfigurationError, DatasetError
from lloco_core.evaluation import cities
from lloco_core.evaluation.intervals import Bootstrap
from lloco_core.evaluation.needle import DEPTHS, NEEDLE, RESERVED, build_cases, even_lengths, insert_needle
from lloco_core.evaluation.needle_table import needle_table, plot_needles

HAYSTACKS = {
    "weather": "It rained on Monday, in Oslo too. \nThe wind turned west! Was it cold? " * 120,
    "ships": "A ship came in. Nobody left it for some days; then the captain did. " * 120,
}
LENGTHS = (400, 900)
FEW = Bootstrap(draws=300)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(locate_checkpoint("reference"))


@pytest.fixture(scope="module")
def cases(tokenizer):
    return build_cases(HAYSTACKS, lambda text: tokenize(tokenizer, text), LENGTHS)


def test_every_haystack_length_and_depth_has_one_case(cases):
    assert [(case.document_id, case.length, case.depth) for case in cases] == list(product(HAYSTACKS, LENGTHS, DEPTHS))
    assert len({case.case_id for case in cases}) == len(cases) == 44


def test_text_and_needle_stay_within_the_budget(cases, tokenizer):
    for case in cases:
        assert case.length - RESERVED - 3 <= len(case.token_ids_T) <= case.length - RESERVED + 2  # tokens merge anew at the seams
        np.testing.assert_array_equal(case.token_ids_T, tokenize(tokenizer, case.text)[0])


def test_needles_stand_where_sentences_end_at_their_depth(cases):
    for case in cases:
        before, after = case.text.split(NEEDLE.format(city=case.answer))
        hay = before + after
        assert HAYSTACKS[case.document_id].startswith(hay.rstrip()[:-1])
        assert len(before) == pytest.approx(case.depth * len(hay), abs=80)  # a sentence
        assert not before or not after or re.search(r"[.!?]\s+$", before)
        assert (before == "") == (case.depth == 0)
        assert (after == "") == (case.depth == 1) or case.depth == 0.9


def test_answers_come_from_the_needle_alone(cases):
    for case in cases:
        assert case.answer not in HAYSTACKS[case.document_id]
        assert case.text.count(case.answer) == 1
    assert "Oslo" not in {case.answer for case in cases if case.document_id == "weather"}
    for depth in DEPTHS:
        assert len({case.answer for case in cases if case.depth == depth}) > 1  # no depth is tied to one city


def test_cities_of_tests_are_not_trained_on():
    assert not set(cities.FOR_TESTS) & set(cities.FOR_FINETUNING)
    assert len(set(cities.FOR_TESTS)) == len(cities.FOR_TESTS) == len(set(cities.FOR_FINETUNING)) == len(cities.FOR_FINETUNING)


def test_text_without_sentences_takes_the_needle_at_the_end_of_a_line():
    rows = "".join(f"| {row} | {row * row} |\n" for row in range(400)) + "The end. "
    before, after = insert_needle(rows, 0.5, "Here. ").split("Here. ")
    assert before.endswith("|\n")
    assert len(before) == pytest.approx(len(rows) / 2, abs=20)
    assert before + after == rows
    assert insert_needle("No end", 1.0, "Here. ") == "No end Here. "
    assert insert_needle("One. Two", 0.0, "Here. ") == "Here. One. Two"


def test_lengths_are_evenly_spaced():
    assert even_lengths(32_000, 5) == [1000, 8750, 16500, 24250, 32000]
    assert even_lengths(24, 3, 12) == [12, 18, 24]


def test_what_makes_no_case_is_refused(tokenizer):
    def count(text):
        return tokenize(tokenizer, text)

    with pytest.raises(DatasetError, match="haystack 'short' has 4 tokens, 2"):
        build_cases({"short": "Too short."}, count, [400])
    with pytest.raises(DatasetError, match="leave no room"):
        build_cases(HAYSTACKS, count, [RESERVED])
    with pytest.raises(DatasetError, match="names all 1 cities"):
        build_cases(HAYSTACKS, count, [400], cities=["Oslo"])


def test_the_table_has_means_by_depth_and_length_with_intervals(cases):
    """One haystack is read everywhere but at depth 0, the other only at the short length."""
    answers = {
        case.case_id: f"It is {case.answer}." if (case.depth > 0 if case.document_id == "ships" else case.length == 400) else "Rome?"
        for case in cases
    }
    table = needle_table(cases, answers, FEW)
    assert table["mean"] == pytest.approx((20 + 11) / 44, abs=1e-4)
    assert table["by_depth"]["0"] == 0.25
    assert table["by_depth"]["0.5"] == 0.75
    assert table["by_length"] == {"400": pytest.approx(21 / 22, abs=1e-4), "900": pytest.approx(10 / 22, abs=1e-4)}
    assert table["intervals"]["mean"] == pytest.approx([0.5, 20 / 22], abs=1e-4)  # one haystack twice, or the other
    assert table["intervals"]["by_depth"]["0"] == [0, 0.5]
    assert (table["cases"], table["haystacks"]) == (44, 2)


def test_answers_of_one_haystack_or_without_answers_have_no_table(cases):
    with pytest.raises(DatasetError, match=r"44 of 44 needle cases have no answer \(weather/400/0\)"):
        needle_table(cases, {})
    alone = [case for case in cases if case.document_id == "ships"]
    with pytest.raises(ConfigurationError, match="1 clusters"):
        needle_table(alone, {case.case_id: "" for case in alone})


def test_the_heat_map_is_written_and_the_same_twice(cases, tmp_path):
    answers = {case.case_id: case.answer for case in cases}
    for name in ("one.svg", "two.svg", "three.png"):
        plot_needles(cases, answers, tmp_path / name, "a title")
    first = (tmp_path / "one.svg").read_text()
    assert first == (tmp_path / "two.svg").read_text()
    assert (tmp_path / "three.png").read_bytes()[:4] == b"\x89PNG"
    plot_needles(cases, dict.fromkeys(answers, "?"), tmp_path / "two.svg", "a title")
    assert first != (tmp_path / "two.svg").read_text()
