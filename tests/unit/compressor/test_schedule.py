"""Which positions run next: full steps, nothing twice, nothing starved, memory respected. No tensors."""

from __future__ import annotations

import pytest

from lloco_core.compressor.memory import Regions
from lloco_core.compressor.schedule import Chunk, DocumentProgress, Schedule

SUMMARY = 5


class Line:
    """Memory without tensors: a line of positions."""

    def __init__(self, n_positions: int = 10**6) -> None:
        self.size, self.regions, self.most = n_positions, Regions(), 0
        self.regions.give(0, n_positions)

    def allocate(self, n_positions: int) -> int | None:
        start = self.regions.take(n_positions)
        self.most = max(self.most, self.size - self.regions.total)
        return start

    def release(self, start: int, n_positions: int) -> None:
        self.regions.give(start, n_positions)

    @property
    def is_empty(self) -> bool:
        return self.regions.total == self.size


def document(*segment_tokens: int, carried: int = 0, accumulate: bool = True) -> DocumentProgress:
    return DocumentProgress(segment_tokens, carried, SUMMARY, accumulate)


def run(schedule: Schedule, documents: list[DocumentProgress], budget: int, limit: int = 10_000) -> list[list[Chunk]]:
    steps = []
    for one in documents:
        schedule.submit(one)
    while not all(one.ended for one in documents):
        chunks = schedule.plan(budget)
        schedule.advance(chunks)
        steps.append(chunks)
        assert len(steps) < limit
    return steps


def test_positions_of_a_document_that_accumulates():
    one = document(40, 40, 7)
    assert [one.kept(k) for k in range(3)] == [0, 0, SUMMARY]
    assert [one.new_positions(k) for k in range(3)] == [40 + SUMMARY, 40 + 2 * SUMMARY, 7 + 2 * SUMMARY]
    assert one.capacity == 40 + 2 * SUMMARY


def test_positions_of_a_continued_document():
    one = document(40, 7, carried=30)
    assert [one.kept(k) for k in range(2)] == [0, 30]
    assert [one.new_positions(k) for k in range(2)] == [30 + 40 + SUMMARY, SUMMARY + 7 + SUMMARY]


def test_rmt_keeps_nothing_of_earlier_passes():
    one = document(40, 40, 40, accumulate=False)
    assert [one.kept(k) for k in range(3)] == [0, 0, 0]
    assert one.capacity == 40 + 2 * SUMMARY


@pytest.mark.parametrize("budget", [SUMMARY, 13, 64, 1000])
def test_every_position_runs_once_and_in_order(budget: int):
    documents = [document(*[40] * n, 1 + n) for n in range(6)] + [document(9, carried=77)]
    steps = run(Schedule(Line()), documents, budget)
    assert all(sum(chunk.n_positions for chunk in step) <= budget for step in steps)
    for one in documents:
        chunks = [chunk for step in steps for chunk in step if chunk.document is one]
        assert sum(chunk.ends for chunk in chunks) == len(one.segment_tokens)
        expected = 0
        for chunk in chunks:
            assert chunk.first == expected
            expected = 0 if chunk.ends else chunk.first + chunk.n_positions


def test_summary_tokens_are_not_parted():
    one = document(40)
    assert one.chunk(40 + SUMMARY).ends
    assert one.chunk(40 + SUMMARY - 1) == Chunk(one, 0, 40, ends=False)
    one.done = 40
    assert one.chunk(SUMMARY - 1) is None
    assert one.chunk(SUMMARY).ends


def test_a_document_has_one_pass_in_a_step():
    one = document(4, 4, 4)
    assert len(run(Schedule(Line()), [one], 10**6)) == 3


def test_long_and_short_documents_end_together():
    """No long document is left over to run alone."""
    documents = [document(*[40] * 30)] + [document(40) for _ in range(60)] + [document(*[40] * 30)]
    steps = run(Schedule(Line()), documents, 150)
    assert sum(chunk.n_positions for chunk in steps[-2]) > 100
    assert min(sum(chunk.n_positions for chunk in step) for step in steps[:-4]) >= 150 - SUMMARY


def test_waiting_documents_grow_in_priority():
    schedule = Schedule(Line())
    short = document(40)
    schedule.submit(short)
    n_steps = 0
    while not short.ended:  # long documents never cease to arrive
        schedule.submit(document(*[40] * 20))
        schedule.advance(schedule.plan(50))
        n_steps += 1
    assert n_steps < 20 * 20  # those that came 20 steps later do not overtake it


def test_documents_under_way_go_before_equal_ones():
    memory = Line()
    run(Schedule(memory), [document(*[40] * 4) for _ in range(50)], 150)
    assert memory.most <= 8 * 60  # a step holds three to four of them


def test_a_document_waits_for_memory_and_is_not_overtaken():
    big, small = document(*[40] * 10), [document(*[40] * 5) for _ in range(20)]
    memory = Line(big.capacity + 10)
    steps = run(Schedule(memory), [*small, big], 10**6)
    assert memory.is_empty
    assert [chunk.document is big for chunk in steps[0]] == [True]  # the longest goes first, nothing fits beside it
    assert sum(chunk.ends for step in steps for chunk in step) == 110


def test_a_document_larger_than_memory_is_refused_and_the_others_go_on():
    big, small = document(*[40] * 100), document(40)
    run(Schedule(Line(100)), [big, small], 10**6)
    assert big.refused
    assert small.ended
    assert not small.refused


def test_a_withdrawn_document_frees_its_memory():
    memory = Line()
    schedule, one = Schedule(memory), document(40, 40)
    schedule.submit(one)
    schedule.advance(schedule.plan(60))
    schedule.withdraw(one)
    schedule.withdraw(one)
    assert memory.is_empty
    assert schedule.plan(60) == []


def test_regions_join_and_are_found_again():
    regions = Regions()
    regions.give(0, 100)
    starts = [regions.take(20) for _ in range(5)]
    assert starts == [0, 20, 40, 60, 80]
    assert regions.take(1) is None
    for start in (20, 60, 40):
        regions.give(start, 20)
    assert regions.take(60) == 20
    assert regions.total == 0
