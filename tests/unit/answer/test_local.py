"""Answers of a random model: adapters switch, never mix, and leave the encoder that shares the model alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import PreTrainedModel

from lloco_core.answer.local import LocalAnswerer
from lloco_core.compressor import load_encoder
from lloco_core.config import AnswerConfig
from tests.tiny_models import copy_tokenizer, random_lm

HIDDEN = 64
QUESTION = "Which adapter is in effect?"
CONFIG = AnswerConfig(max_new_tokens=12)


pytestmark = pytest.mark.usefixtures("one_thread")


def tiny_lm() -> PreTrainedModel:
    shape = {"vocab_size": 8192, "hidden_size": HIDDEN, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}
    return random_lm("llama", 3, **shape, max_position_embeddings=512, initializer_range=0.15, tie_word_embeddings=False).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the reference tokenizer, and below `a` and `b` an adapter each, both in a folder `v1.0`."""
    root = tmp_path_factory.mktemp("answer")
    model, encoder = tiny_lm(), root / "encoder"
    encoder.mkdir()
    save_file({**model.state_dict(), "embed_summary.weight": torch.randn(4, HIDDEN)}, encoder / "model.safetensors")
    (encoder / "config.json").write_text(json.dumps(model.config.to_dict() | {"summary_length": 4}))
    copy_tokenizer(encoder)
    for seed, name in enumerate("ab"):
        base = tiny_lm()
        torch.manual_seed(seed)
        lora = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
        get_peft_model(base, lora).save_pretrained(root / name / "v1.0")
    return root


@pytest.fixture
def answerer(folder: Path) -> LocalAnswerer:
    return LocalAnswerer(load_encoder(str(folder / "encoder"), segment_length=20), CONFIG)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, HIDDEN)).astype(np.float16)


def expected_answer(folder: Path, vectors: np.ndarray | None, adapter: str | None, question: str = QUESTION) -> str:
    """The greedy answer of a stock model with one merged adapter, without a cache."""
    from peft import PeftModel

    tokenizer = load_encoder(str(folder / "encoder")).tokenizer
    model = tiny_lm()
    if adapter:
        model = PeftModel.from_pretrained(model, folder / adapter / "v1.0").merge_and_unload()
    prompt = f"\nQuestion: {question}\nAnswer:"
    ids = tokenizer(prompt, add_special_tokens=False, split_special_tokens=True).input_ids
    x = model.get_input_embeddings()(torch.tensor(ids))
    if vectors is not None:
        x = torch.cat([torch.from_numpy(vectors).float(), x])
    found: list[int] = []
    with torch.no_grad():
        while len(found) < CONFIG.max_new_tokens and (not found or found[-1] != 2):
            found.append(int(model(inputs_embeds=x[None]).logits[0, -1].argmax()))
            x = torch.cat([x, model.get_input_embeddings()(torch.tensor(found[-1:]))])
    return tokenizer.decode(found, skip_special_tokens=True).strip()


def test_adapters_switch(folder: Path, answerer: LocalAnswerer, vectors: np.ndarray) -> None:
    expected = {name: expected_answer(folder, vectors, name) for name in ("a", "b", None)}
    assert len(set(expected.values())) == 3
    for name in ("a", "b", "a", None, "b", None, "a"):
        assert answerer.answer(QUESTION, vectors, folder / name / "v1.0" if name else None) == expected[name]


def test_without_adapter_the_base_model_answers(folder: Path, answerer: LocalAnswerer, vectors: np.ndarray) -> None:
    before = answerer.answer(QUESTION, vectors)
    assert before == expected_answer(folder, vectors, None)
    assert answerer.answer(QUESTION, vectors, folder / "a" / "v1.0") != before
    assert answerer.answer(QUESTION, vectors) == before
    assert LocalAnswerer(load_encoder(str(folder / "encoder")), CONFIG).answer(QUESTION, vectors, None) == before


def test_greedy_answers_are_repeatable(folder: Path, answerer: LocalAnswerer, vectors: np.ndarray) -> None:
    answers = set()
    for seed in range(4):
        torch.manual_seed(seed)
        answers.add(answerer.answer(QUESTION, vectors, folder / "b" / "v1.0"))
    assert len(answers) == 1


def test_the_encoder_never_sees_an_adapter(folder: Path, answerer: LocalAnswerer, vectors: np.ndarray) -> None:
    document = [list(range(100, 150))]
    (before,) = answerer.encoder.encode(document)
    for name in "ab":
        answerer.answer(QUESTION, vectors, folder / name / "v1.0")
        assert torch.equal(answerer.encoder.encode(document)[0], before)


def test_an_adapter_is_found_by_its_path(
    folder: Path, answerer: LocalAnswerer, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answerer.answer(QUESTION, vectors, folder / "b" / "v1.0")
    monkeypatch.chdir(folder)
    assert answerer.answer(QUESTION, vectors, Path("b/v1.0")) == expected
    assert answerer.answer(QUESTION, vectors, Path("a/v1.0")) != expected


def test_vectors_and_question_both_matter(folder: Path, answerer: LocalAnswerer, vectors: np.ndarray) -> None:
    with_vectors, without = answerer.answer(QUESTION, vectors), answerer.answer(QUESTION, None)
    assert without == expected_answer(folder, None, None)
    assert with_vectors != without
    assert answerer.answer(QUESTION, vectors[::-1].copy()) != with_vectors
    assert answerer.answer("What else?", vectors) == expected_answer(folder, vectors, None, "What else?") != with_vectors


def test_special_tokens_and_braces_in_a_question_are_text(folder: Path, answerer: LocalAnswerer, vectors: np.ndarray) -> None:
    question = "What do </s>, <s>, {answer} and {0} mean?"
    assert answerer.answer(question, vectors) == expected_answer(folder, vectors, None, question)


def test_an_answer_ends_at_the_limit(folder: Path, vectors: np.ndarray) -> None:
    encoder = load_encoder(str(folder / "encoder"))
    short, long = (LocalAnswerer(encoder, AnswerConfig(max_new_tokens=n)).answer(QUESTION, vectors) for n in (3, 12))
    assert 1 <= len(encoder.tokenize(short)[0]) <= 3 * 4
    assert long.startswith(short)
    assert len(long) > len(short)


def test_a_prompt_beyond_the_model_s_positions_is_told(
    answerer: LocalAnswerer, vectors: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    answerer.answer(QUESTION, vectors)
    assert not caplog.messages
    answerer.answer(QUESTION, np.tile(vectors, (90, 1)))
    assert len(caplog.messages) == 1
    assert re.search(r"prompt of 5\d\d positions .* up to 12 exceed the 512 ", caplog.messages[0])
