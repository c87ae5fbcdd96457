"""Scores of single answers against values worked out by hand."""

import pytest

from lloco_core.evaluation.answers import (
    contained,
    exact_match,
    hotpot_f1,
    needle_found,
    normalised_tokens,
    option_matches,
    token_f1,
)


def test_normalisation_is_that_of_squad():
    assert normalised_tokens(" The  Cat's\ta-b, an  ATE!") == ["cats", "ab", "ate"]
    assert normalised_tokens("theory and another") == ["theory", "and", "another"]  # articles are words, not beginnings


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [("The king.", ["a queen", "King"], 1), ("the old king", ["king"], 0), ("", ["king"], 0), ("the", ["a"], 1)],
)
def test_exact_match(answer, references, expected):
    assert exact_match(answer, references) == expected


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("the old king of France", ["king France"], 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("no no no", ["no no way"], 2 / 3),  # repetitions count as often as in both
        ("a castle", ["a river", "the castle on the hill"], 2 * 1 * (1 / 3) / (1 + 1 / 3)),
        ("castle", ["river"], 0),
        ("", ["river"], 0),
    ],
)
def test_token_f1_is_the_best_over_the_references(answer, references, expected):
    assert token_f1(answer, references) == pytest.approx(expected)


def test_hotpot_gives_no_share_of_yes_no_and_noanswer():
    assert hotpot_f1("yes it is", ["yes"]) == 1 - 1  # token F1 would give 0.5
    assert token_f1("yes it is", ["yes"]) == pytest.approx(0.5)
    assert hotpot_f1("no", ["no way"]) == 0
    assert hotpot_f1("Yes.", ["yes"]) == 1
    assert hotpot_f1("noanswer", ["noanswer given"]) == 0
    assert hotpot_f1("Robert Connor", ["Robert Digges Connor"]) == pytest.approx(0.8)


def test_a_reference_is_contained_in_whatever_form_the_answer_has():
    assert contained("I think it was the old king, in France.", ["An old king"]) == 1
    assert contained("old France king", ["old king"]) == 0  # side by side only
    assert contained("kingdom", ["king"]) == 0  # whole words only
    assert contained("anything", ["the"]) == 0
    assert contained("", ["king"]) == 0


def test_the_option_is_the_first_character():
    assert option_matches(" B. Because he left", ("B",)) == 1
    assert option_matches("b", ("B",)) == 0
    assert option_matches("(B)", ("B",)) == 0
    assert option_matches("", ("B",)) == 0


def test_a_needle_counts_letter_for_letter():
    assert needle_found("It is Nairobi.", "Nairobi")
    assert not needle_found("It is Nairob.", "Nairobi")
    assert not needle_found("nairobi", "Nairobi")
