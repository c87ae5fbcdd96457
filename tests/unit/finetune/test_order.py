from __future__ import annotations

import pytest
import tiny

from lloco_core.errors import ConfigurationError
from lloco_core.finetune.order import plan_order


def rows_of_step(order, step: int) -> list[int]:
    return [row for rank in range(order.world_size) for batch in order.micro_batches(step, rank) for row in batch]


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("n_rows", [1, 7, 8, 9, 21])
def test_every_row_once_per_epoch(n_rows: int, world_size: int) -> None:
    order = plan_order(tiny.recipe(global_batch=8, epochs=3), n_rows, world_size)
    assert order.total_steps == 3 * order.steps_per_epoch
    for epoch in range(3):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        assert sorted(row for step in steps for row in rows_of_step(order, step)) == list(range(n_rows))


def test_rows_of_a_step_do_not_depend_on_ranks() -> None:
    orders = [plan_order(tiny.recipe(global_batch=8), 21, world_size) for world_size in (1, 2, 4)]
    for step in range(orders[0].total_steps):
        assert len({tuple(sorted(rows_of_step(order, step))) for order in orders}) == 1


def test_every_rank_makes_the_same_number_of_calls() -> None:
    order = plan_order(tiny.recipe(global_batch=8, micro_batch=2), 9, 2)
    assert [len(order.micro_batches(1, rank)) for rank in (0, 1)] == [2, 2]
    assert [sum(map(len, order.micro_batches(1, rank))) for rank in (0, 1)] == [1, 0]


def test_epochs_and_seeds_differ() -> None:
    order, other = (plan_order(tiny.recipe(seed=seed), 40, 1) for seed in (0, 1))
    assert rows_of_step(order, 0) != rows_of_step(order, order.steps_per_epoch)
    assert rows_of_step(order, 0) != rows_of_step(other, 0)
    assert len({order.dropout_seed(step, rank) for step in range(5) for rank in range(2)}) == 10


def test_micro_batch_shrinks_to_a_ranks_share() -> None:
    order = plan_order(tiny.recipe(global_batch=8, micro_batch=4), 100, 4)
    assert (order.micro_batch, order.accumulation) == (2, 1)


def test_max_steps_cuts_the_run() -> None:
    assert plan_order(tiny.recipe(max_steps=3), 100, 1).total_steps == 3
    assert plan_order(tiny.recipe(max_steps=1000, epochs=1), 8, 1).total_steps == 2


def test_impossible_splits_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"global_batch 8 does not split .* on 3 ranks"):
        plan_order(tiny.recipe(global_batch=8), 10, 3)
    with pytest.raises(ConfigurationError, match="no training rows"):
        plan_order(tiny.recipe(), 0, 1)
