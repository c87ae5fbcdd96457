"""Rows that end with their questions and answers, as plain text."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import texts

from lloco_core.config import AnswerConfig
from lloco_core.encoder_training.batch import Batch
from lloco_core.encoder_training.text.curriculum import AskedRow, Task
from lloco_core.encoder_training.text.loader import TextLoader
from lloco_core.encoder_training.text.source import TextSource
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.encoder_training.text.written import write_out

T, END = 512, "</s>"
ASKING = {"tokens_per_answer": 64, "segment_tokens": [96, 128]}
WORDING = AnswerConfig()


def source(corpus: Path, tokenizer: TextTokenizer, shape: dict[str, float], **curriculum: object) -> TextSource:
    rows = [{"kind": "packed", "row_tokens": T} | shape]
    config = texts.config(corpus, corpus.parent / "cache", rows=rows, batch_tokens=4 * T, curriculum=ASKING | curriculum)
    return TextSource(config, open_token_cache(config, tokenizer), tokenizer)


def batches(made: TextSource, count: int) -> list[Batch]:
    with TextLoader(made) as loader:
        return list(islice(loader, count))


def rows_of(made: TextSource, count: int) -> Iterator[np.ndarray]:
    for batch in batches(made, count):
        yield from batch.text_BT.numpy()


def parts(row_T: np.ndarray, tokenizer: TextTokenizer) -> tuple[str, list[tuple[str, str]]]:
    """The text of a row, and its questions with their answers."""
    pieces = [END.encode() if token == tokenizer.end_id else tokenizer.pieces[token] for token in row_T.tolist()]
    text, *asked = b"".join(pieces).decode("utf-8", "replace").split("\nQuestion: ")
    return text, [tuple(item.removesuffix(END).split("\nAnswer: ")) for item in asked]  # type: ignore[misc]


def test_written_questions_are_the_tokens_that_serving_sends(corpus: Path, tokenizer: TextTokenizer) -> None:
    seen = 0
    for batch in batches(source(corpus, tokenizer, {"with_answers": 1, "written_out": 1}), 6):
        assert batch.answers == []
        assert tuple(batch.text_BT.shape) == (4, T)
        for row_T in batch.text_BT.numpy():
            _, asked = parts(row_T, tokenizer)
            tail: list[int] = []
            for question, answer in asked:
                for text in (f"\nQuestion: {question}\nAnswer:", f" {answer}"):
                    tail += tokenizer.encode([text])[0].tolist()
                tail.append(tokenizer.end_id)
            assert row_T[T - len(tail) :].tolist() == tail
            seen += len(asked)
    assert seen > 24 * 4


def test_every_answer_stands_in_one_document_of_the_row(corpus: Path, tokenizer: TextTokenizer) -> None:
    """What was cut away is not asked, and no end token tears what is."""
    documents: Counter[int] = Counter()
    for row_T in rows_of(source(corpus, tokenizer, {"with_answers": 1, "written_out": 1}), 40):
        text, asked = parts(row_T, tokenizer)
        held = [" ".join(part.split()) for part in text.split(END)]
        for question, answer in asked:
            assert any(answer in part for part in held), (question, answer)
        documents[len(held)] += bool(asked)
        assert len({question for question, _ in asked}) == len(asked)
    assert documents.total() > 150
    assert sum(count for held, count in documents.items() if held >= 3) > 10


def test_the_tail_of_the_text_gives_way(corpus: Path, tokenizer: TextTokenizer) -> None:
    plain = list(rows_of(source(corpus, tokenizer, {}), 8))
    asking = {"facts": 0, "literal": 0, "recall": 1}
    written = list(rows_of(source(corpus, tokenizer, {"with_answers": 1, "written_out": 1}, **asking), 8))
    shorter = in_order = 0
    for whole_T, row_T in zip(plain, written, strict=True):
        kept = int((np.append(whole_T != row_T, True)).argmax())
        text, asked = parts(row_T, tokenizer)
        assert b"".join(tokenizer.pieces[token] for token in row_T[kept : kept + 12]).lstrip().startswith(b"Question" if asked else b"")
        shorter += kept < T
        places = [" ".join(text.split()).find(answer) for _, answer in asked]
        in_order += places == sorted(places)
    assert shorter > 24
    assert in_order < shorter / 2


def test_a_fact_that_ends_the_row_ends_its_text(corpus: Path, tokenizer: TextTokenizer) -> None:
    asking = {"facts": 1, "literal": 0, "recall": 0, "edges": 1, "segment_tokens": [2 * T]}
    ended = 0
    for row_T in rows_of(source(corpus, tokenizer, {"with_answers": 1, "written_out": 1}, **asking), 8):
        text, asked = parts(row_T, tokenizer)
        last = text.rpartition("\n")[2]
        ended += last.endswith(".") and any(answer in last for _, answer in asked)
    assert ended > 16


def test_a_question_about_what_was_cut_away_is_left_out() -> None:
    told = (("is_a", 40), ("recall", 70), ("is_a", 80), ("fact_code", 100))
    tasks = [Task(style, style, "", end, end) for style, end in told]
    asked = AskedRow(np.arange(100), 90, tasks)
    questions = [np.full(size, -name) for name, size in enumerate((9, 5, 2, 7), 1)]
    row_T = write_out(asked, questions, random.Random(0))
    # 7 for the fact at the end, 9 for the first: 74 tokens of text are left, too few for the second with its 5, or for the third
    assert row_T[:84].tolist() == [*range(74), *range(90, 100)]
    assert Counter(row_T[84:].tolist()) == {-1: 9, -4: 7}


def test_a_share_is_written_out_and_the_others_stay_as_they_were(corpus: Path, tokenizer: TextTokenizer) -> None:
    kinds: Counter[str] = Counter()
    shares = ({"with_answers": 0.6, "written_out": 0.5}, {"with_answers": 0.6}, {})
    for mixed, asked, plain in zip(*(batches(source(corpus, tokenizer, shape), 40) for shape in shares), strict=True):
        for row in range(4):
            answers = [[(item.after, item.answer.tolist()) for item in batch.answers if item.row == row] for batch in (mixed, asked)]
            rows = [batch.text_BT[row].tolist() for batch in (mixed, asked, plain)]
            if rows[0] == rows[2]:
                assert answers[0] == answers[1] == []
                kinds["plain"] += 1
            elif answers[0]:
                assert (rows[0], answers[0]) == (rows[1], answers[1])
                kinds["asked"] += 1
            else:
                assert answers[1]
                kinds["written"] += 1
    assert {kind: count / 160 for kind, count in kinds.items()} == pytest.approx({"plain": 0.4, "asked": 0.3, "written": 0.3}, abs=0.12)


def test_the_same_position_gives_the_same_rows(corpus: Path, tokenizer: TextTokenizer) -> None:
    first, second = (source(corpus, tokenizer, {"with_answers": 1, "written_out": 1}) for _ in range(2))
    later = first.after(first.after(first.start))
    taken = [made.batch(later).text_BT.tolist() for made in (first, second, first)]
    assert taken[0] == taken[1] == taken[2] != first.batch(first.start).text_BT.tolist()
    assert first.fingerprint != source(corpus, tokenizer, {"with_answers": 1}).fingerprint
