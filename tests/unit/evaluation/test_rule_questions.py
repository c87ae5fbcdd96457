"""Questions by rule on held-out documents, and answers to them in every context."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lloco_core.answer.local import LocalAnswerer
from lloco_core.compressor import load_encoder
from lloco_core.config import AnswerConfig
from lloco_core.encoder_training.text.config import FACT_STYLES, LITERAL_STYLES
from lloco_core.encoder_training.text.familiar import KnownWords
from lloco_core.encoder_training.text.rowtext import RowText
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.errors import ConfigurationError, DatasetError
from lloco_core.evaluation.asking import Asking, answer_cases
from lloco_core.evaluation.intervals import Bootstrap
from lloco_core.evaluation.needle import build_cases
from lloco_core.evaluation.needle_table import needle_table
from lloco_core.evaluation.rule_questions import TABLES, RuleCase, build_rule_cases, measure_rule_questions, rule_table, styles_of
from tests.tiny_models import copy_tokenizer
from tests.unit.compressor.tiny_checkpoints import write_checkpoint
from tests.unit.compressor.tiny_icae import write_icae_folder
from tests.unit.text.texts import config, story

ROW, FEW, SHORT = 200, Bootstrap(draws=100), AnswerConfig(max_new_tokens=6)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("asked") / "tiny", tokenizer=True, vocab_size=8192)


@pytest.fixture(scope="module")
def encoder(tiny):
    return load_encoder(str(tiny.folder), segment_length=64)


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return TextTokenizer((tiny.folder / "tokenizer.json").read_text(), end_id=2)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked-text")
    rows = [{"id": f"doc{number}", "text": story(f"asked{number}", 20 + number)} for number in range(20)]
    (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    curriculum = {"tokens_per_answer": 40, "segment_tokens": (64,), "held_out_styles": ("who_said",)}
    return config(folder / "text.jsonl", folder / "cache", validation=0.5, curriculum=curriculum)


@pytest.fixture(scope="module")
def cache(text, tokenizer):
    return open_token_cache(text, tokenizer)


@pytest.fixture(scope="module")
def cases(cache, text, tokenizer):
    return {table: build_rule_cases(cache, text, tokenizer, table, 4, ROW) for table in TABLES}


def test_every_document_holds_the_answers_to_its_questions(cases, tokenizer):
    assert len({case.case_id for made in cases.values() for case in made}) == sum(map(len, cases.values()))
    for table, made in cases.items():
        assert {case.table for case in made} == {table}
        assert len(made) >= 5
        for case in made:
            assert case.token_ids_T.shape == (ROW,)
            assert case.answer in " ".join(RowText(case.token_ids_T, tokenizer.pieces).text.split())


def test_styles_that_training_leaves_out_have_a_table_of_their_own(cases, cache, text, tokenizer):
    assert {case.style for case in cases["held_out_f1"]} == {"who_said"}
    asked = {case.style for case in cases["literal_f1"]}
    assert "who_said" not in asked
    assert asked <= set(LITERAL_STYLES)
    assert len(asked) >= 4
    assert {case.style for table in ("facts_em", "rare_facts_em") for case in cases[table]} == set(FACT_STYLES)
    everything = text.model_copy(update={"curriculum": text.curriculum.model_copy(update={"held_out_styles": ()})})
    assert styles_of("literal_f1", everything.curriculum) == LITERAL_STYLES
    with pytest.raises(DatasetError, match=r"held_out_f1 has no styles: curriculum.held_out_styles is \[\]"):
        build_rule_cases(cache, everything, tokenizer, "held_out_f1", 4, ROW)


def test_facts_are_of_known_words_or_of_rare_strings(cases, tokenizer):
    known = KnownWords.of(tokenizer.pieces)
    for table, expected in (("facts_em", True), ("rare_facts_em", False)):
        answers = [case.answer for case in cases[table] if case.style in ("fact_place", "fact_word")]
        assert len(answers) >= 3
        assert all(answer.startswith(known.names + known.words) for answer in answers) == expected
        assert any(answer in known.names + known.words for answer in answers) == expected


def test_no_document_was_trained_on(cache, text, tokenizer):
    names = cache.ids()
    trained = {names[number] for number in cache.documents("train", text.validation)}
    made = build_rule_cases(cache, text, tokenizer, "literal_f1", 1000, ROW)
    assert {case.document_id for case in made} == set(names) - trained
    documents = {name: cache.tokens[cache.starts[number] : cache.starts[number + 1]] for number, name in enumerate(names)}
    for case in made:  # literal questions leave the text as it is
        windows = np.lib.stride_tricks.sliding_window_view(documents[case.document_id], ROW)
        assert (windows == case.token_ids_T).all(1).any()
    with pytest.raises(DatasetError, match=r"0 of \d+ held-out documents have 100000 tokens"):
        build_rule_cases(cache, text, tokenizer, "literal_f1", 4, 100_000)


def test_answers_in_every_context_are_those_of_one_question_alone(encoder, cases):
    """Batches pad on the left; the answers are those of the stock way, one by one."""
    chosen = cases["facts_em"][:3] + cases["literal_f1"][-3:]
    asking, alone = Asking(encoder, chosen, SHORT, batch=4), LocalAnswerer(encoder, SHORT)
    vectors = [found.numpy() for found in encoder.encode([case.token_ids_T for case in chosen])]
    others = [next(at for at in [*range(own + 1, 6), *range(own)] if chosen[at].document_id != chosen[own].document_id) for own in range(6)]
    contexts = {
        "vectors": vectors,
        "wrong": [vectors[other] for other in others],
        "none": [None] * 6,
        "full_text": [case.token_ids_T for case in chosen],
    }
    answers = {context: asking.answers(context) for context in contexts}
    for context, given in contexts.items():
        expected = {case.case_id: alone.answer(case.question, item) for case, item in zip(chosen, given, strict=True)}
        assert answers[context] == expected
        assert any(expected.values())
    assert answers["vectors"] != answers["wrong"] != answers["none"] != answers["full_text"]


def test_batches_of_an_icae_keep_its_control_token(tmp_path, tiny):
    icae = write_icae_folder(tmp_path / "icae", "llama_gqa", vocab_size=8192)
    copy_tokenizer(icae.folder / "base")
    encoder = load_encoder(str(icae.folder))
    contexts = [None, *(found.numpy() for found in encoder.encode([[5, 6, 7] * 30, [9, 8] * 20])), np.arange(30)]
    questions, answerer = ["Who?", "When did it end?", "Where is the house of the old painter?", "Why?"], LocalAnswerer(encoder, SHORT)
    alone = [answerer.answer(question, context) for question, context in zip(questions, contexts, strict=True)]
    assert answerer.answer_all(questions, contexts) == alone
    assert len(set(alone)) == 4


def test_scores_by_kind_of_question_with_intervals_over_documents():
    ids = np.arange(3)
    facts = [RuleCase(f"{name}{order}", name, ids, f"{order}?", "Blue Hill", "fact_place", "facts_em") for name in "ab" for order in (0, 1)]
    right = {"a0": "the blue hill.", "a1": "Blue Hill", "b0": "Hill", "b1": "Blue Hill"}
    table = rule_table(facts, {"vectors": right, "none": dict.fromkeys(right, "")}, FEW)
    assert (table["vectors"], table["none"], table["cases"], table["documents"]) == (75.0, 0.0, 4, 2)
    assert table["intervals"] == {"vectors": [50.0, 100.0], "none": [0.0, 0.0]}
    literal = [case if case.document_id == "a" else replace(case, style="is_a") for case in facts]
    table = rule_table(literal, {"vectors": right}, FEW)
    assert table["by_style"] == {"fact_place": {"vectors": 100.0, "cases": 2}, "is_a": {"vectors": 83.33, "cases": 2}}
    with pytest.raises(DatasetError, match="1 of 4 questions have no answer, the first is 'b1'"):
        rule_table(facts, {"vectors": {key: right[key] for key in ("a0", "a1", "b0")}}, FEW)


def test_the_checkpoints_table(encoder, cases):
    chosen = [case for made in cases.values() for case in (*made[:2], *made[-2:])]
    table = measure_rule_questions(encoder, chosen, SHORT, bootstrap=FEW)
    assert set(table) == set(TABLES)
    for name, asked in table.items():
        assert set(asked["intervals"]) == {"vectors", "wrong", "none"} | ({"full_text"} if name.endswith("f1") else set())
        assert asked["cases"] == 4
    assert set(table["held_out_f1"]["by_style"]) == {"who_said"}
    assert json.loads(json.dumps(table)) == table


def test_needles_are_asked_the_same_way(encoder):
    made = build_cases({name: story(name, 80) for name in "ab"}, encoder.tokenize, [400], depths=(0.0, 1.0))
    answers = answer_cases(encoder, made, SHORT)
    assert needle_table(made, answers, FEW)["cases"] == 4


def test_what_cannot_be_asked_is_refused(encoder, cases):
    one = [case for case in cases["facts_em"] if case.document_id == cases["facts_em"][0].document_id]
    with pytest.raises(ConfigurationError, match="'wrong' needs two documents"):
        Asking(encoder, one, SHORT).answers("wrong")
    with pytest.raises(DatasetError, match="each with an id of its own"):
        Asking(encoder, one[:1] * 2, SHORT).answers("none")
    with pytest.raises(ConfigurationError, match="a text of 200 tokens and an answer of 400 do not fit the 512 positions"):
        Asking(encoder, one, AnswerConfig(max_new_tokens=400)).answers("full_text")
