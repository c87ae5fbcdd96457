from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

from lloco_core.compressor.tokenizing import wording_ids
from lloco_core.config import AnswerConfig
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.errors import ConfigurationError, EncodingError, StorageError
from lloco_core.finetune.rows import Example, FinetuneDataset, read_examples, split_holdout, write_examples


def test_examples_round_trip(tmp_path: Path) -> None:
    examples = [Example("d1", 'Wer war "Jürgen"?\n', "北京"), Example("d2", "q </s>", "a")]
    write_examples(str(tmp_path / "new" / "rows.parquet"), examples)
    assert read_examples(str(tmp_path / "new" / "rows.parquet")) == examples


def test_no_examples_round_trip(tmp_path: Path) -> None:
    write_examples(str(tmp_path / "rows.parquet"), [])
    assert read_examples(str(tmp_path / "rows.parquet")) == []


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_text("no parquet")
    with pytest.raises(StorageError, match=r"rows\.parquet is not a parquet file of examples"):
        read_examples(str(tmp_path / "rows.parquet"))
    with pytest.raises(StorageError, match="absent"):
        read_examples(str(tmp_path / "absent.parquet"))


def test_holdout_is_a_function_of_the_rows() -> None:
    rows = tiny.examples(400)
    train, held = split_holdout(rows, 0.1, seed=0)
    assert sorted([*train, *held], key=rows.index) == rows
    assert 20 <= len(held) <= 60
    assert set(split_holdout(rows[::-1], 0.1, seed=0)[1]) == set(held)
    assert set(split_holdout(rows[:200], 0.1, seed=0)[1]) == set(held) & set(rows[:200])
    assert set(split_holdout(rows, 0.1, seed=1)[1]) != set(held)


def test_same_question_stays_on_one_side() -> None:
    rows = [Example(f"d{n}", "Who?", answer) for n in range(50) for answer in ("a", "b")]
    train, held = split_holdout(rows, 0.3, seed=0)
    assert held and not {row.doc_id for row in train} & {row.doc_id for row in held}


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_no_side_is_left_empty(share: float) -> None:
    train, held = split_holdout(tiny.examples(5), share, seed=0)
    assert train and held


def test_holdout_of_one_row_or_none() -> None:
    assert split_holdout(tiny.examples(1), 0.9, seed=0) == (tiny.examples(1), [])
    assert split_holdout(tiny.examples(9), 0.0, seed=0) == (tiny.examples(9), [])
    assert split_holdout([], 0.5, seed=0) == ([], [])


def test_row_is_prompt_and_answer_with_eos() -> None:
    tokenizer = tiny.tiny_tokenizer()
    row = FinetuneDataset([Example("doc3", "Who?", "Me.")], tiny.vectors_of, tokenizer, AnswerConfig())[0]
    assert tokenizer.decode(row.prompt_ids) == "\nQuestion: Who?\nAnswer:"
    assert tokenizer.decode(row.answer_ids[:-1]) == " Me."
    assert row.answer_ids[-1] == tokenizer.eos_token_id
    assert row.vectors_KD.dtype == np.float16
    assert row.vectors_KD.shape == (5, tiny.HIDDEN)
    assert len(row) == 5 + len(row.prompt_ids) + len(row.answer_ids)


def test_special_token_strings_are_text() -> None:
    tokenizer = tiny.tiny_tokenizer()
    text = "a</s>b<s>c<unk>"
    tokenizer(text)  # a plain call before must not matter
    ids = wording_ids(tokenizer, "{question}", "{question}", text).tolist()
    assert not set(ids) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(ids) == text
    row = FinetuneDataset([Example("doc0", text, text)], tiny.vectors_of, tokenizer, AnswerConfig())[0]
    assert (row.prompt_ids + row.answer_ids).count(tokenizer.eos_token_id) == 1


def test_braces_in_texts_stay() -> None:
    template = AnswerConfig(question_template="{x}{question}", answer_template="{answer}{}")
    tokenizer = tiny.tiny_tokenizer()
    row = FinetuneDataset([Example("doc0", "{y} {question}", "{z}")], tiny.vectors_of, tokenizer, template)[0]
    assert tokenizer.decode(row.prompt_ids) == "{x}{y} {question}"
    assert tokenizer.decode(row.answer_ids[:-1]) == "{z}{}"


def test_vectors_are_read_once_per_document() -> None:
    calls = []

    def vectors_of(doc_id: str) -> np.ndarray:
        calls.append(doc_id)
        return tiny.vectors_of(doc_id)

    data = FinetuneDataset([Example("doc1", f"q{n}", "a") for n in range(4)], vectors_of, tiny.tiny_tokenizer(), AnswerConfig())
    assert len([data[index] for index in range(4)]) == 4
    assert calls == ["doc1"]


@pytest.mark.parametrize("vectors", [np.zeros(3), np.full((2, 4), np.nan), np.full((2, 4), np.inf)])
def test_broken_vectors_name_the_document(vectors: np.ndarray) -> None:
    data = FinetuneDataset([Example("doc1", "q", "a")], lambda _: vectors, tiny.tiny_tokenizer(), AnswerConfig())
    with pytest.raises(EncodingError, match="doc1"):
        data[0]


def test_tokenizer_without_eos_is_refused() -> None:
    tokenizer = tiny.tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ConfigurationError, match="no EOS"):
        FinetuneDataset([], tiny.vectors_of, tokenizer, AnswerConfig())


def test_special_tokens_of_the_wording_are_special_those_of_the_question_are_not() -> None:
    tokenizer = tiny.tiny_tokenizer()
    ids = wording_ids(tokenizer, "<s>ask: {question}</s>say:", "{question}", "why </s>?").tolist()
    plain = [tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids for text in ("ask: why </s>?", "say:")]
    assert ids == [tokenizer.bos_token_id, *plain[0], tokenizer.eos_token_id, *plain[1]]
    assert TextTokenizer.of(tokenizer).encode_wording("<s>ask: {question}</s>say:", "{question}", ["why </s>?"])[0].tolist() == ids
