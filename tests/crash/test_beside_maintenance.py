"""Ingests beside a maintenance that never rests and a reader that opens every night: nothing lost, nothing twice, nothing torn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.crash.drill import change_corpus, picture, write_corpus
from tests.crash.loop import ingest
from tests.crash.maintaining import maintain, read, repeating


def change_again(corpus: Path, night: int) -> None:
    """Every night another third of the texts grows."""
    for path in sorted(corpus.rglob("doc-*.txt"))[night % 3 :: 3]:
        with path.open("a") as grown:
            grown.write(f" And in night {night} there was more to say of the harbour and the lantern." * (1 + night % 2))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [3, pytest.param(10, marks=pytest.mark.real), pytest.param(30, marks=pytest.mark.long)])
def test_ingests_beside_maintenance_and_readers(tmp_path: Path, count: int):
    corpus, alone, beside = tmp_path / "corpus", str(tmp_path / "alone"), str(tmp_path / "beside")
    write_corpus(corpus)
    for store_uri in (alone, beside):
        ingest(corpus, store_uri, "night-0", shard_objects=1)
    change_corpus(corpus)
    with repeating(lambda: maintain(beside)) as done, repeating(lambda: read(beside)) as opened:
        for night in range(1, count + 1):
            change_again(corpus, night)
            published = {store_uri: ingest(corpus, store_uri, f"night-{night}", shard_objects=1)["night"] for store_uri in (alone, beside)}

    assert picture(beside) == picture(alone)
    assert read(beside) == published[beside]
    assert len(set(opened)) > count / 2
    did = sum((Counter(item) for item in done), Counter())
    assert did["compacted"] > 0
    assert did["retired"] > 0
    assert did["versions"] > 0 or count < 10
