"""Adapters of every condition: trained on what they are asked with, about other documents, and each in effect for its own answers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import adapters, reference
from benchmarks.adapter_questions import Counts, left_out_style, squad_folds
from benchmarks.adapter_table import ARTICLES, FAIRYTALES, STYLE, Condition, Part, sentence
from benchmarks.adapting import CUT, ROOM, AdapterRows, QuestionSet, Reader
from lloco_core.compressor import load_encoder
from lloco_core.config import AnswerConfig
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.evaluation.datasets.example import Example
from tests.unit.compressor.tiny_checkpoints import write_checkpoint
from tests.unit.text.texts import story

POSITIONS = 600
RECIPE = adapters.RECIPE.model_copy(update={"learning_rate": 0.03, "dropout": 0.0, "global_batch": 8, "micro_batch": 8, "max_steps": 2})


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters") / "tiny"
    return write_checkpoint(folder, tokenizer=True, vocab_size=8192, max_position_embeddings=POSITIONS).folder


@pytest.fixture
def encoder(checkpoint):
    return load_encoder(str(checkpoint), segment_length=400)


@pytest.fixture(scope="module")
def options(tmp_path_factory, checkpoint):
    folder = tmp_path_factory.mktemp("adapters-data")
    rows = [{"id": f"doc{number}", "text": story(f"adapted{number}", 220)} for number in range(8)]
    (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split in ("train", "test"):
        _write_fairytales(folder / "tales" / "data-by-train-split", split)
    articles = [_article(f"Article {number}") for number in range(4)]
    (folder / "squad.json").write_text(json.dumps({"version": "1.1", "data": articles}))
    given = ["--model", str(checkpoint), "--text", f"stories={folder / 'text.jsonl'}", "--cache", str(folder / "cache"), "--device", "cpu"]
    given += ["--validation", "0.5", "--fairytaleqa", str(folder / "tales"), "--squad", str(folder / "squad.json")]
    given += ["--scale", "0.005", "--learning-rate", "0.03", "--text-batch", "4"]
    return adapters.parse([*given, "--out", str(folder / "adapters.json")])


def _write_fairytales(base: Path, split: str) -> None:
    for number in range(2):
        name = f"{split}-{number}"
        tables = {
            base / "section-stories" / split / f"{name}-story.csv": [["section", "text"], ["1", story(name, 12)]],
            base / "questions" / split / f"{name}-questions.csv": [["question", "answer1"], ["Who won?", name], ["Who lost?", "Sofie"]],
        }
        for path, lines in tables.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as file:
                csv.writer(file).writerows(lines)


def _article(title: str) -> dict:
    questions = [{"id": f"{title}/{order}", "question": f"What is {order}?", "answers": [{"text": title}]} for order in range(3)]
    return {"title": title, "paragraphs": [{"context": story(title, 12), "qas": questions}]}


def _questions(answer: str, count: int) -> QuestionSet:
    tokens = {f"doc{number}": np.random.default_rng(number).integers(3, 8000, 64) for number in range(count)}
    examples = [Example(name, "", f"{name}/0", f"What is in {name}?", (answer,), name, "f1") for name in tokens]
    return QuestionSet(examples, tokens)


def test_only_a_language_model_makes_an_untrained_encoder(options, encoder, checkpoint):
    with_base = adapters.parse(["--text", "a=b", "--cache", "c", "--device", "cpu", "--base", str(checkpoint)])
    assert list(adapters._encoders(encoder, options)) == ["trained", "random_summary"]
    assert list(adapters._encoders(encoder, with_base)) == ["trained", "untrained"]


def test_adapters_never_see_a_document_that_is_asked_about(options, encoder):
    tokenizer = TextTokenizer.of(encoder.tokenizer)
    kind = reference.open_kind(options.text[0], tokenizer, options)
    names = kind.cache.ids()
    held = {f"stories/{names[number]}" for number in kind.cache.documents("validation", options.validation)}
    style = left_out_style([kind], tokenizer, Counts(4, 4, 1))
    assert set(style.test.tokens) <= held
    assert not set(style.train.tokens) & held
    assert {len(example.references) for example in style.train.examples} == {1}
    assert all("____" in example.question for example in [*style.train.examples, *style.test.examples])
    for fold in (style, *(folds := squad_folds(options.squad, encoder, Counts(4, 4, 1)))):
        assert not set(fold.train.tokens) & set(fold.test.tokens)
        assert {example.document_id for example in fold.test.examples} == set(fold.test.tokens)
    asked = [example.question_id for fold in folds for example in fold.test.examples]
    assert len(asked) == len(set(asked)) == 12  # every question of the file once


def test_rows_hold_what_their_condition_reads(encoder):
    long = {"doc": np.random.default_rng(3).integers(3, 8000, 900)}
    questions = QuestionSet([Example("doc", "", "doc/0", "Who?", ("Me",), "doc", "f1")], long)
    reader, wording = Reader(encoder, AnswerConfig(), "cpu", 4, 4), AnswerConfig()
    rows = {
        reads: AdapterRows(questions, reader.contexts(reads, questions), encoder, wording)[0]
        for reads in ("vectors", "none", "cut_text", "full_text")
    }
    prompt = rows["none"].prompt_ids
    (expected_PH,) = encoder.encode([long["doc"]])
    assert np.array_equal(rows["vectors"].vectors_KD, expected_PH.half().numpy())
    assert [len(row.vectors_KD) for row in rows.values()] == [len(expected_PH), 0, 0, 0]
    assert encoder.tokenizer.decode(prompt) == "\nQuestion: Who?\nAnswer:"
    assert rows["vectors"].prompt_ids == prompt
    assert rows["cut_text"].prompt_ids == [*long["doc"][: 900 // CUT], *prompt]
    assert rows["full_text"].prompt_ids == [*long["doc"][: POSITIONS - ROOM], *prompt]
    assert all(row.answer_ids == rows["none"].answer_ids for row in rows.values())


def test_every_adapter_answers_as_it_was_trained(encoder, tmp_path):
    reader = Reader(encoder, AnswerConfig(max_new_tokens=3), "cpu", 8, 4)
    recipe = RECIPE.model_copy(update={"max_steps": 25, "epochs": 25, "warmup_ratio": 0.0})
    asked = _questions("", 4)
    contexts, answers = reader.contexts("vectors", asked), {}
    for word in ("river", "night"):
        reader.train(_questions(word, 8), reader.contexts("vectors", _questions(word, 8)), recipe, tmp_path / word)
    for word in ("river", "night"):
        answers[word] = set(reader.answers(asked, contexts, tmp_path / word).values())
    assert answers == {"river": {"river"}, "night": {"night"}}
    assert not {"river", "night"} & set(reader.answers(asked, contexts, None).values())


def test_the_result_has_every_part_and_condition(options):
    result = adapters.measure(options, RECIPE)
    assert json.loads(options.out.read_text()) == result
    style = [condition for condition in STYLE if condition.name != "untrained"]  # of a base, which is not given
    for name, conditions in (("left_out_style", style), ("fairytaleqa", FAIRYTALES), ("squad", ARTICLES)):
        table, names = result[name], {condition.name for condition in conditions}
        assert table["f1"].keys() == table["em"].keys() == names | {"intervals"}
        assert table["vectors_f1_above"].keys() == names - {"vectors"} | {"intervals"}
        trained = {condition.name for condition in conditions if condition.adapted}
        assert table["adapters"].keys() == trained
        losses = [tuple(fold["first_loss"] for fold in table["adapters"][condition]) for condition in trained]
        assert len(set(losses)) == len(trained)  # each read something else
        assert table["recipe"]["learning_rate"] == 0.03
        assert f"{table['questions']} questions about {table['documents']} documents" in table["says"]
    assert [len(folds) for folds in result["squad"]["adapters"].values()] == [2, 2]
    assert result["left_out_style"]["documents_longer_than_full_text"] == result["left_out_style"]["documents"]
    assert (result["squad"]["questions"], result["squad"]["documents"]) == (12, 4)
    assert (result["fairytaleqa"]["questions"], result["fairytaleqa"]["train_documents"]) == (4, 2)
    assert "/" not in result["command"]


def test_the_sentence_says_what_the_intervals_allow():
    above = {"none": 4.0, "untrained": 1.0, "full_text": -3.0}
    bounds = {"none": [2.0, 6.0], "untrained": [-0.4, 2.6], "full_text": [-5.0, -1.0]}
    f1 = {"vectors": 13.0, "none": 9.0, "untrained": 12.0, "full_text": 16.0}
    said = sentence({"f1": f1, "vectors_f1_above": above | {"intervals": bounds}, "questions": 70, "documents": 7})
    assert "On 70 questions about 7 documents the adapter on vectors reaches F1 13.0" in said
    assert "above an adapter without context (9.0; by 4.0, 2.0 to 6.0)" in said
    assert "not to be told from an adapter on vectors of an untrained encoder (12.0; by 1.0, -0.4 to 2.6)" in said
    assert "below an adapter on the full text (16.0; by -3.0, -5.0 to -1.0)" in said


def test_a_condition_without_its_encoder_is_left_out(encoder, tmp_path):
    reader = Reader(encoder, AnswerConfig(max_new_tokens=2), "cpu", 8, 4)
    fold = adapters.Fold(_questions("a", 2), _questions("b", 2))
    conditions = [Condition("vectors", "vectors", adapted=False), Condition("untrained", "vectors", reader="untrained")]
    table = Part([fold], {"trained": reader}, RECIPE, tmp_path).table(conditions)
    assert table["f1"].keys() == {"vectors", "intervals"}
