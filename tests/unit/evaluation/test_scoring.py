"""Whole data sets: every measure's keys, means times 100, intervals over documents, and what is refused."""

import numpy as np
import pytest

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example
from lloco_core.evaluation.intervals import Bootstrap
from lloco_core.evaluation.rouge import rouge_scores
from lloco_core.evaluation.scoring import intervals_of, score

FEW = Bootstrap(draws=500)


def example(question_id, references, measure="f1", cluster="story"):
    return Example(cluster, "text", question_id, "question?", tuple(references), cluster, measure)


def test_rouge_worked_out_by_hand():
    scores = rouge_scores("the cat sat", ["the cat sat on the mat"])
    assert scores["rouge1"] == pytest.approx(2 * 1 * (3 / 6) / (1 + 3 / 6))
    assert scores["rouge2"] == pytest.approx(2 * 1 * (2 / 5) / (1 + 2 / 5))
    assert scores["rougeL"] == pytest.approx(scores["rouge1"])


def test_rouge_does_not_stem_and_takes_the_best_reference_per_key():
    assert rouge_scores("running", ["runs"])["rouge1"] == 0
    words, order = "d c b a x", "a b y z"  # one shares more words, the other a longer order
    scores = rouge_scores("a b c d", [words, order])
    assert scores["rouge1"] == pytest.approx(2 * 4 / 9)
    assert scores["rougeL"] == pytest.approx(2 * 2 / 8)
    assert scores["rouge2"] == pytest.approx(2 * 1 / 6)


def test_sentences_stand_on_lines_for_the_sum_over_sentences():
    swapped = rouge_scores("He left. She came back home.", ["She came back home. He left."])
    assert swapped["rougeLsum"] == pytest.approx(1)  # sentence by sentence nothing is missing
    assert swapped["rougeL"] == pytest.approx(4 / 6)  # in one order a sentence is lost


def test_means_are_times_100_with_intervals_over_documents():
    examples = [example("1", ["king"], cluster="a"), example("2", ["queen", "the lady"], cluster="b"), example("3", ["yes"], cluster="b")]
    scores = score(examples, {"1": "the king", "2": "a lady", "3": "oh yes"})
    assert scores.keys == ("em", "f1", "contained")
    np.testing.assert_allclose(scores.values_NM, [[100, 100, 100], [100, 100, 100], [0, 100 * 2 / 3, 100]])
    found = intervals_of(scores, FEW)
    assert found["f1"].value == pytest.approx(100 * (2 + 2 / 3) / 3)
    assert found["em"].low == 50  # document b alone
    assert found["em"].high == 100  # document a alone
    assert found["contained"] == (100, 100, 100)


def test_hotpot_and_choice_have_their_own_rules():
    assert score([example("1", ["yes"], "hotpot")], {"1": "yes sir"}).column("f1")[0] == 0
    options = [example(name, ["B"], "choice", name) for name in ("1", "2")]
    assert intervals_of(score(options, {"1": "B", "2": "A"}), FEW)["accuracy"].value == 50


def test_rouge_is_reported_as_the_geometric_mean_of_the_means():
    examples = [example(name, [reference], "rouge", name) for name, reference in (("1", "a b c d"), ("2", "a b x y z"))]
    scores = score(examples, {"1": "a b c d", "2": "a b c"})
    means = scores.values_NM.mean(0)
    found = intervals_of(scores, FEW)["geometric_mean"]
    assert found.value == pytest.approx((means[0] * means[1] * means[2]) ** (1 / 3))
    assert found.value != pytest.approx(np.prod(scores.values_NM[:, :3], axis=1).mean() ** (1 / 3))  # not the mean of geometric means
    assert found.high == pytest.approx(100)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(DatasetError, match="1 of 2 questions have no answer, the first is '2'"):
        score([example("1", ["x"]), example("2", ["x"])], {"1": "x"})
    with pytest.raises(DatasetError, match=r"measures \['choice', 'f1'\]"):
        score([example("1", ["x"]), example("2", ["A"], "choice")], {"1": "x", "2": "A"})
    with pytest.raises(DatasetError, match="0 questions"):
        score([], {})
