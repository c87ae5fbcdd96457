"""Bootstrap intervals against a plain loop, against theory, and the ways in which clusters and pairs change them."""

import numpy as np
import pytest

from lloco_core.errors import ConfigurationError
from lloco_core.evaluation.intervals import Bootstrap, interval, paired_difference


def plain_interval(values, clusters, draws, seed):
    """One draw after the other, one document after the other."""
    random = np.random.default_rng(seed)
    names = sorted(set(clusters))
    means = []
    for _ in range(draws):
        drawn = [names[order] for order in random.integers(0, len(names), len(names))]
        items = [value for name in drawn for value, own in zip(values, clusters, strict=True) if own == name]
        means.append(sum(items) / len(items))
    return np.quantile(means, [0.025, 0.975])


def test_clusters_are_drawn_as_a_plain_loop_draws_them():
    values, clusters = [0.0, 1, 1, 0, 1, 1, 1, 0.5], list("aabbbcdd")
    found = interval(values, clusters, bootstrap=Bootstrap(draws=300, seed=7))
    assert found.value == np.mean(values)
    np.testing.assert_allclose(found.bounds, plain_interval(values, clusters, 300, 7))


def test_bounds_do_not_depend_on_how_draws_are_split(monkeypatch):
    values, clusters = np.random.default_rng(1).normal(size=60), [str(item % 9) for item in range(60)]
    whole = interval(values, clusters)
    monkeypatch.setattr("lloco_core.evaluation.intervals._ELEMENTS", 1000)
    assert interval(values, clusters) == whole


def test_the_seed_decides_and_nothing_else():
    values = np.random.default_rng(1).normal(size=50)
    assert interval(values) == interval(values)
    assert interval(values) != interval(values, bootstrap=Bootstrap(seed=1))


def test_independent_items_give_the_interval_of_the_normal_distribution():
    values = np.random.default_rng(2).normal(3, 2, size=2000)
    found = interval(values)
    error = values.std() / np.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    wide = interval(values, bootstrap=Bootstrap(confidence=0.99))
    assert wide.low < found.low < found.high < wide.high


def test_items_that_stand_and_fall_together_widen_the_interval():
    """20 documents of 25 equal items are worth 20 items: 5 times as wide as 500 items would be."""
    per_document = np.random.default_rng(3).normal(size=20)
    values, clusters = np.repeat(per_document, 25), [f"{document}" for document in range(20) for _ in range(25)]
    alone, together = interval(values), interval(values, clusters)
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(5, rel=0.1)


def test_totals_weigh_by_what_they_count():
    """Perplexity: losses are summed over tokens, and documents have unequal numbers of them."""
    sums, tokens = np.array([10.0, 90, 40]), np.array([10, 30, 20])
    found = interval(sums, counts=tokens, statistic=lambda means: np.exp(means[:, 0]))
    assert found.value == pytest.approx(np.exp(140 / 60))
    assert found.low == pytest.approx(np.exp(1))  # only the first document
    assert found.high == pytest.approx(np.exp(3))


def test_a_pair_of_systems_is_compared_on_the_same_draws():
    random = np.random.default_rng(4)
    difficulty = random.normal(size=300)
    first, second = difficulty + 0.2 + random.normal(0, 0.1, 300), difficulty + random.normal(0, 0.1, 300)
    found = paired_difference(first, second)
    assert found.value == pytest.approx((first - second).mean())
    np.testing.assert_allclose(found, interval(first - second))  # the same draws of the differences
    apart = interval(first)
    assert found.high - found.low < 0.3 * (apart.high - apart.low)
    assert paired_difference(first, first) == (0, 0, 0)


def test_a_pair_is_compared_by_any_statistic_over_clusters():
    first, second = np.random.default_rng(5).random((2, 40, 3))
    clusters = [str(item % 8) for item in range(40)]

    def product(means_RM):
        return means_RM.prod(1)

    found = paired_difference(first, second, clusters, statistic=product)
    assert found.value == pytest.approx(first.mean(0).prod() - second.mean(0).prod())
    assert found.low < found.value < found.high


def test_what_has_no_interval_is_refused():
    with pytest.raises(ConfigurationError, match="3 items in 1 clusters have no interval"):
        interval([1, 2, 3], ["a", "a", "a"])
    with pytest.raises(ConfigurationError, match="2 values came with 2 counts and 3 clusters"):
        interval([1, 2], ["a", "b", "c"])
    with pytest.raises(ConfigurationError, match="are no pairs"):
        paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ConfigurationError, match="confidence 1 give no interval"):
        Bootstrap(confidence=1)
