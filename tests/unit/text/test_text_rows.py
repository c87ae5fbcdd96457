from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import texts
import torch
from pydantic import ValidationError

from lloco_core.encoder_training.batch import Batch
from lloco_core.encoder_training.text.cache import TokenCache
from lloco_core.encoder_training.text.config import TextConfig
from lloco_core.encoder_training.text.loader import TextLoader
from lloco_core.encoder_training.text.packing import PackedRows
from lloco_core.encoder_training.text.source import TextSource
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.encoder_training.text.within import DocumentRows
from lloco_core.errors import TrainingTextError

T = 64
MIXED = [
    {"kind": "document", "row_tokens": 128, "share": 3, "with_answers": 0.7},
    {"kind": "packed", "row_tokens": 64, "share": 1, "with_answers": 0.3},
    {"kind": "packed", "row_tokens": 256, "share": 1},
]
ASKING = {"tokens_per_answer": 32, "segment_tokens": [32, 48]}


@pytest.fixture
def cache(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> TokenCache:
    return open_token_cache(texts.config(corpus, tmp_path / "cache"), tokenizer)


@pytest.fixture
def mixed(corpus: Path, tmp_path: Path) -> TextConfig:
    return texts.config(corpus, tmp_path / "cache", rows=MIXED, curriculum=ASKING)


def everything(cache: TokenCache) -> np.ndarray:
    return np.arange(len(cache.n_tokens))


def numbered(cache: TokenCache) -> TokenCache:
    """The same documents, with every token replaced by its place in the whole, so that rows say where they are from."""
    cache.__dict__["tokens"] = np.arange(len(cache.tokens), dtype=np.int64)
    return cache


def as_plain(batch: Batch) -> tuple[Any, ...]:
    return batch.text_BT.tolist(), [(item.row, item.after, item.prompt.tolist(), item.answer.tolist()) for item in batch.answers]


def first(loader: TextLoader, count: int) -> list[tuple[Any, ...]]:
    return [as_plain(batch) for batch in islice(loader, count)]


def test_an_epoch_of_packed_rows_uses_every_token_once(cache: TokenCache) -> None:
    rows = PackedRows(numbered(cache), everything(cache), T, end_id=-1, seed=3)
    for epoch in range(3):
        taken = [rows.row(epoch * rows.per_epoch + number) for number in range(rows.per_epoch)]
        assert {row.shape for row in taken} == {(T,)}
        counts = Counter(np.concatenate(taken).tolist())
        ends = counts.pop(-1)
        assert set(counts.values()) == {1}
        assert 0 <= len(cache.tokens) + len(cache.n_tokens) - len(counts) - ends < T


def test_packed_documents_end_with_the_end_token(cache: TokenCache) -> None:
    rows = PackedRows(numbered(cache), everything(cache), T, end_id=-1, seed=3)
    seen = 0
    for number in range(rows.per_epoch):
        row_T = rows.row(number)
        for at in range(T - 1):
            if row_T[at] == -1:
                assert row_T[at + 1] in cache.starts[:-1] or row_T[at + 1] == -1
                assert at == 0 or row_T[at - 1] + 1 in cache.starts
                seen += 1
            elif row_T[at + 1] != -1:
                assert row_T[at + 1] == row_T[at] + 1
    assert seen > 20


def test_a_document_row_never_leaves_its_document(cache: TokenCache) -> None:
    rows = DocumentRows(numbered(cache), everything(cache), T, seed=3)
    assert rows.per_epoch == (cache.n_tokens // T).sum()
    for epoch in range(3):
        taken = []
        for number in range(rows.per_epoch):
            row_T = rows.row(epoch * rows.per_epoch + number)
            assert (np.diff(row_T) == 1).all()
            owners = np.searchsorted(cache.starts, row_T, side="right")
            assert owners[0] == owners[-1]
            taken += row_T.tolist()
        assert len(taken) == len(set(taken))


def test_every_epoch_has_another_order_and_other_cuts(cache: TokenCache) -> None:
    for rows in (PackedRows(cache, everything(cache), T, 2, seed=3), DocumentRows(cache, everything(cache), T, seed=3)):
        epochs = [{tuple(rows.row(epoch * rows.per_epoch + number)) for number in range(rows.per_epoch)} for epoch in range(2)]
        assert epochs[0] != epochs[1]


def test_short_documents_are_left_out(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    shape = {"kind": "packed", "row_tokens": T, "shortest_document": 500}
    config = texts.config(corpus, tmp_path / "cache", rows=[shape])
    cache = open_token_cache(config, tokenizer)
    long = cache.n_tokens[cache.n_tokens >= 500]
    assert 0 < len(long) < 40
    assert TextSource(config, cache, tokenizer).rows_per_epoch == ((long + 1).sum() // T,)


def test_too_little_text_is_refused(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    for kind in ("packed", "document"):
        config = texts.config(corpus, tmp_path / "cache", rows=[{"kind": kind, "row_tokens": 2**20}], batch_tokens=2**20)
        with pytest.raises(TrainingTextError, match="1048576"):
            TextSource(config, open_token_cache(config, tokenizer), tokenizer)


@pytest.mark.parametrize("kind", ["packed", "document"])
@pytest.mark.parametrize("world_size", [1, 3])
def test_ranks_share_an_epoch_without_overlap_or_loss(
    kind: str, world_size: int, corpus: Path, tokenizer: TextTokenizer, tmp_path: Path
) -> None:
    config = texts.config(corpus, tmp_path / "cache", rows=[{"kind": kind, "row_tokens": T}])
    cache = numbered(open_token_cache(config, tokenizer))
    loaders = [TextLoader(TextSource(config, cache, tokenizer, rank=rank, world_size=world_size)) for rank in range(world_size)]
    (per_epoch,) = TextSource(config, cache, tokenizer).rows_per_epoch
    taken: list[tuple[int, ...]] = []
    while len(taken) < per_epoch:
        for loader in loaders:
            taken += map(tuple, next(loader).text_BT.tolist())
    rows = PackedRows(cache, everything(cache), T, 2, seed=0) if kind == "packed" else DocumentRows(cache, everything(cache), T, seed=0)
    assert taken == [tuple(rows.row(number)) for number in range(len(taken))]


def test_ranks_take_the_same_shapes_by_their_shares(cache: TokenCache, mixed: TextConfig, tokenizer: TextTokenizer) -> None:
    shapes = []
    for rank in range(2):
        with TextLoader(TextSource(mixed, cache, tokenizer, rank=rank, world_size=2)) as loader:
            shapes.append([tuple(batch.text_BT.shape) for batch in islice(loader, 50)])
    assert shapes[0] == shapes[1]
    assert Counter(shapes[0]) == {(2, 128): 30, (4, 64): 10, (1, 256): 10}


def test_long_rows_join_later(cache: TokenCache, mixed: TextConfig, tokenizer: TextTokenizer) -> None:
    short, middle, long = ({"row_tokens": size, "share": share} for size, share in ((64, 1), (128, 3), (256, 1)))
    rows = (short, middle | {"after_batches": 10}, long | {"after_batches": 30})
    config = TextConfig.model_validate(mixed.model_dump() | {"rows": rows})
    with TextLoader(TextSource(config, cache, tokenizer)) as loader:
        sizes = [batch.text_BT.shape[1] for batch in islice(loader, 80)]
    assert Counter(sizes[:10]) == {64: 10}
    assert Counter(sizes[10:30]) == {64: 5, 128: 15}
    assert Counter(sizes[30:]) == {64: 10, 128: 30, 256: 10}
    with pytest.raises(ValidationError, match="wait for after_batches"):
        TextConfig.model_validate(config.model_dump() | {"rows": rows[1:]})


def test_batches_are_the_same_for_any_threads_and_processes(cache: TokenCache, mixed: TextConfig, tokenizer: TextTokenizer) -> None:
    made = []
    for threads, processes, ahead in ((1, 0, 1), (1, 0, 5), (4, 0, 9), (1, 2, 3)):
        with TextLoader(TextSource(mixed, cache, tokenizer), threads, processes, ahead) as loader:
            made.append(first(loader, 25))
    assert made[0] == made[1] == made[2] == made[3]
    assert sum(len(answers) for _, answers in made[0]) > 20
    other = TextSource(mixed.model_copy(update={"seed": 1}), cache, tokenizer)
    with TextLoader(other) as loader:
        assert first(loader, 1) != made[0][:1]


def test_resume_gives_the_same_batches_at_any_step(cache: TokenCache, mixed: TextConfig, tokenizer: TextTokenizer) -> None:
    states = []
    with TextLoader(TextSource(mixed, cache, tokenizer, rank=1, world_size=2)) as loader:
        batches = []
        for _ in range(24):
            states.append(json.dumps(loader.state_dict()))
            batches.append(as_plain(next(loader)))
    for step, state in enumerate(states[:-2]):
        with TextLoader(TextSource(mixed, cache, tokenizer, rank=1, world_size=2), threads=1 + step % 3, ahead=1 + step % 4) as loader:
            if step % 2:
                next(loader)  # a loader that is under way goes back as well
            loader.load_state_dict(json.loads(state))
            assert loader.state_dict() == json.loads(state)
            assert first(loader, 3) == batches[step : step + 3]


def test_resume_on_other_ranks_goes_on_with_the_next_rows(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    config = texts.config(corpus, tmp_path / "cache")
    cache = open_token_cache(config, tokenizer)
    with TextLoader(TextSource(config, cache, tokenizer)) as alone:
        whole = torch.cat([batch.text_BT for batch in islice(alone, 6)]).tolist()
    with TextLoader(TextSource(config, cache, tokenizer)) as alone:
        taken = torch.cat([batch.text_BT for batch in islice(alone, 2)]).tolist()
        state = alone.state_dict()
    for rank in range(2):
        with TextLoader(TextSource(config, cache, tokenizer, rank=rank, world_size=2)) as loader:
            loader.load_state_dict(state)
            taken += next(loader).text_BT.tolist()
    assert taken == whole[: len(taken)]


def test_a_position_in_another_text_is_refused(cache: TokenCache, mixed: TextConfig, tokenizer: TextTokenizer) -> None:
    with TextLoader(TextSource(mixed, cache, tokenizer)) as loader:
        state = loader.state_dict()
    for changes in ({"seed": 9}, {"rows": mixed.rows[:2]}, {"validation": 0.3}):
        with (
            TextLoader(TextSource(mixed.model_copy(update=changes), cache, tokenizer)) as loader,
            pytest.raises(TrainingTextError, match="saved"),
        ):
            loader.load_state_dict(state)


def test_an_error_reaches_the_loop_and_leaves_the_position(cache: TokenCache, mixed: TextConfig, tokenizer: TextTokenizer) -> None:
    source = TextSource(mixed, cache, tokenizer)
    with TextLoader(source) as loader:
        next(loader)
        state = loader.state_dict()
    broken = TextSource(mixed, cache, tokenizer)
    broken._tokenizer = broken._curriculum = broken._rows = None  # what a lost disk does to it
    with TextLoader(broken) as loader:
        loader.load_state_dict(state)
        for _ in range(2):
            with pytest.raises(TypeError):
                next(loader)
        assert loader.state_dict() == state


def test_no_more_batches_are_made_than_wanted(cache: TokenCache, mixed: TextConfig, tokenizer: TextTokenizer) -> None:
    source, made = TextSource(mixed, cache, tokenizer), []
    whole = source.batch
    source.batch = lambda position: made.append(1) or whole(position)
    with TextLoader(source, threads=2, ahead=3) as loader:
        for taken in range(1, 8):
            next(loader)
            assert len(made) <= taken + 3


def test_validation_documents_are_never_trained_on(corpus: Path, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    config = texts.config(corpus, tmp_path / "cache", validation=0.3)
    cache = numbered(open_token_cache(config, tokenizer))
    seen = {}
    for split in ("train", "validation"):
        source = TextSource(config, cache, tokenizer, split)
        with TextLoader(source) as loader:
            rows = [next(loader).text_BT.numpy().ravel() for _ in range(source.rows_per_epoch[0])]
        owners = np.searchsorted(cache.starts, np.concatenate(rows), side="right") - 1
        seen[split] = set(owners[np.concatenate(rows) != tokenizer.end_id].tolist())
    assert seen["validation"] <= set(cache.documents("validation", 0.3).tolist())
    assert seen["train"].isdisjoint(cache.documents("validation", 0.3).tolist())
