"""Rows of documents that people asked about: who is asked what, and after which token."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import texts
from pydantic import ValidationError

from lloco_core.encoder_training.text.asked import AskedRows, read_questions
from lloco_core.encoder_training.text.config import QuestionFilesConfig, TextConfig
from lloco_core.encoder_training.text.source import TextSource
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.errors import TrainingTextError
from lloco_core.evaluation.people import person_cases

T = 96


def document(number: int, **changes: Any) -> dict[str, Any]:
    town = f"Tarn{number}"
    questions = [
        {"question": f"Who keeps the bridge of {town}?", "answers": ["nobody here", f"the Miller of {town}"], "kind": "span"},
        {"question": f"Is {town} old?", "answers": ["yes", "yes, very"], "kind": "yesno"},
        {"question": f"What does {town} sell?", "answers": [], "answerable": False},
    ]
    text = f"{town} lies on a hill. In winter the miller of {town} keeps the bridge. " + "Rain falls on the roofs there. " * (number % 3)
    return {"id": f"town/{number}", "text": text, "questions": questions} | changes


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    rows = [document(number) for number in range(30)] + [document(99, questions=[])]
    path = tmp_path / "asked.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return (str(path),)


def config(tmp_path: Path, files: tuple[str, ...], **questions: Any) -> TextConfig:
    asked = {"files": files, "tokens_per_question": 8, "foreign": 0} | questions
    return texts.config(list(files), tmp_path / "cache", rows=[{"kind": "asked", "row_tokens": T}], batch_tokens=2 * T, questions=asked)


def rows_of(tmp_path: Path, files: tuple[str, ...], tokenizer: TextTokenizer, **questions: Any) -> AskedRows:
    made = config(tmp_path, files, **questions)
    return AskedRows(made.rows[0], made, tokenizer)


def test_a_question_is_asked_as_soon_as_its_answer_was_read(tmp_path: Path, files: tuple[str, ...], tokenizer: TextTokenizer) -> None:
    rows = rows_of(tmp_path, files, tokenizer)
    kinds = {"who": 0, "is": 0, "what": 0}
    for number in range(2 * rows.per_epoch):
        row_T = rows.row(number)
        for item in rows.questions(number, row_T):
            town = item.task.question.split("Tarn")[1].split(" ")[0].rstrip("?")
            read = texts.text_of(row_T[: item.task.told], tokenizer)
            if item.question.is_span and item.question.answers:
                assert item.task.answer == f"the Miller of Tarn{town}"
                assert read.lower().rstrip(" ").endswith(f"the miller of tarn{town}")
                kinds["who"] += 1
            else:
                assert f"Tarn{town} lies on a hill" in read
                assert item.task.answer == ("yes" if item.question.answers else "The document does not say.")
                kinds["is" if item.question.answers else "what"] += 1
    assert min(kinds.values()) > 20


def test_questions_about_other_documents_have_the_refusal_as_answer(
    tmp_path: Path, files: tuple[str, ...], tokenizer: TextTokenizer
) -> None:
    rows = rows_of(tmp_path, files, tokenizer, foreign=1.0, refusal="No word of it.")
    foreign = 0
    for number in range(rows.per_epoch):
        row_T = rows.row(number)
        text = texts.text_of(row_T, tokenizer)
        for task in rows.tasks(number, row_T, random.Random(number)):
            if task.style == "foreign":
                foreign += 1
                assert task.answer == "No word of it."
                town = task.question.split("Tarn")[1].split(" ")[0].rstrip("?")
                assert f"Tarn{town} lies" not in text
    assert foreign > 10


def test_rows_have_no_more_questions_than_wanted_and_the_same_every_time(
    tmp_path: Path, files: tuple[str, ...], tokenizer: TextTokenizer
) -> None:
    rows = rows_of(tmp_path, files, tokenizer, tokens_per_question=48)
    again = rows_of(tmp_path, files, tokenizer, tokens_per_question=48)
    for number in range(rows.per_epoch):
        tasks = rows.tasks(number, rows.row(number), random.Random(number))
        assert len(tasks) <= 2
        assert tasks == again.tasks(number, again.row(number), random.Random(number))
        assert all(task.told <= task.after <= T for task in tasks)


def test_batches_ask_them_with_the_words_of_the_file(tmp_path: Path, files: tuple[str, ...], tokenizer: TextTokenizer) -> None:
    made = config(tmp_path, files)
    source = TextSource(made, open_token_cache(made, tokenizer), tokenizer)
    batch = source.batch(source.start)
    assert batch.answers
    for item in batch.answers:
        assert texts.text_of(item.prompt.numpy(), tokenizer).startswith("\nQuestion: ")
        assert item.answer[-1] == tokenizer.end_id
        assert item.after <= T


def test_other_questions_are_another_source(tmp_path: Path, files: tuple[str, ...], tokenizer: TextTokenizer) -> None:
    made = config(tmp_path, files)
    cache = open_token_cache(made, tokenizer)
    before = TextSource(made, cache, tokenizer).fingerprint
    assert TextSource(config(tmp_path, files, refusal="No."), cache, tokenizer).fingerprint != before
    assert TextSource(made, cache, tokenizer).fingerprint == before


@pytest.mark.parametrize(
    "line", ["", "[]", "{", '{"id": 1}', '{"id": "a", "questions": [1, {"question": " "}, {"question": "q", "answers": [""]}]}']
)
def test_lines_without_questions_cost_themselves_only(tmp_path: Path, line: str) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(line + "\n" + json.dumps(document(1)) + "\n")
    found = read_questions(QuestionFilesConfig(files=(str(path),)))
    assert list(found) == ["town/1"]
    assert len(found["town/1"]) == 3


def test_files_without_any_question_are_refused(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text(json.dumps(document(1, questions=[])) + "\n")
    with pytest.raises(TrainingTextError, match="hold no question about a document of theirs"):
        rows_of(tmp_path, (str(path),), tokenizer)
    with pytest.raises(ValidationError, match="name the files of questions"):
        texts.config(tmp_path, tmp_path / "cache", rows=[{"kind": "asked", "row_tokens": T}], batch_tokens=T)


def test_evaluations_ask_the_same_questions_with_all_their_references(
    tmp_path: Path, files: tuple[str, ...], tokenizer: TextTokenizer
) -> None:
    cases = person_cases(files, str(tmp_path / "cache"), tokenizer, row_tokens=T, per_source=12)
    assert len(cases) == 12 == len({case.case_id for case in cases})
    assert {case.source for case in cases} == {"town"}
    assert any(not case.references for case in cases)
    for case in cases:
        assert len(case.token_ids_T) == T
        if case.references and case.question.startswith("Who"):
            assert case.references[0] == "nobody here"
            assert case.references[1].lower() in texts.text_of(case.token_ids_T, tokenizer).lower()
