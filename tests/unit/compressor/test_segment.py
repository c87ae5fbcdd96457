"""Segments cover a document; prefix hashes change exactly where the vectors may."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lloco_core.compressor.segment import prefix_hashes, segment_bounds


def test_bounds_cover_every_token_once() -> None:
    draw = random.Random(0)
    for _ in range(300):
        n_tokens, length = draw.randint(1, 5000), draw.randint(1, 1600)
        bounds = segment_bounds(n_tokens, length)
        assert [token for start, end in bounds for token in range(start, end)] == list(range(n_tokens))
        assert len(bounds) == -(-n_tokens // length)
        assert {end - start for start, end in bounds[:-1]} <= {length}
        assert 1 <= bounds[-1][1] - bounds[-1][0] <= length


@pytest.mark.parametrize(
    ("n_tokens", "bounds"),
    [(0, []), (1, [(0, 1)]), (1536, [(0, 1536)]), (1537, [(0, 1536), (1536, 1537)]), (3072, [(0, 1536), (1536, 3072)])],
)
def test_bounds_of_the_published_length(n_tokens: int, bounds: list[tuple[int, int]]) -> None:
    assert segment_bounds(n_tokens, 1536) == bounds


def hashes(ids: np.ndarray, length: int = 10, fingerprint: str = "encoder-a") -> list[str]:
    return prefix_hashes(fingerprint, ids, segment_bounds(len(ids), length))


def differ(left: list[str], right: list[str]) -> list[bool]:
    return [a != b for a, b in zip(left, right, strict=False)]


def test_a_changed_token_changes_the_hashes_from_its_segment_on() -> None:
    ids = np.random.default_rng(0).integers(0, 32_000, 47).astype(np.int32)
    for position in range(47):
        changed = ids.copy()
        changed[position] += 1
        assert differ(hashes(ids), hashes(changed)) == [segment >= position // 10 for segment in range(5)]


def test_hashes_are_names_of_32_digits_that_do_not_repeat() -> None:
    found = hashes(np.zeros(50, dtype=np.int32))
    assert len(set(found)) == 5
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in found)
    assert found == hashes(np.zeros(50, dtype=np.int64))  # a wider integer type is the same document


def test_an_appended_text_keeps_all_full_segments() -> None:
    ids = np.arange(47, dtype=np.int32)
    longer = np.arange(80, dtype=np.int32)
    assert differ(hashes(ids), hashes(longer)) == [False, False, False, False, True]


def test_the_cut_is_part_of_the_identity() -> None:
    ids = np.arange(40, dtype=np.int32)
    at_10, at_20 = hashes(ids, 10), hashes(ids, 20)
    assert not set(at_10) & set(at_20)  # also not where both end at the same token
    uneven = prefix_hashes("encoder-a", ids, [(0, 10), (10, 15), (15, 40)])
    assert uneven[0] == at_10[0]
    assert not set(uneven[1:]) & {*at_10, *at_20}


def test_the_fingerprint_is_part_of_the_identity() -> None:
    ids = np.arange(40, dtype=np.int32)
    assert not set(hashes(ids)) & set(hashes(ids, fingerprint="encoder-b"))
