"""Validation windows come from held-out documents alone, and their table equals its definition on stock transformers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lloco_core.compressor import load_encoder
from lloco_core.encoder_training.text.cache import TokenCache
from lloco_core.encoder_training.text.config import TextConfig
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.encoder_training.validation import PER_DOCUMENT, Validation, held_out_windows
from lloco_core.errors import ConfigurationError, TrainingTextError
from lloco_core.evaluation.intervals import Bootstrap
from lloco_core.evaluation.perplexity import CONDITIONS
from tests.unit.compressor.tiny_checkpoints import expected_vectors, random_model, write_checkpoint
from tests.unit.compressor.tiny_icae import expected_slots, write_icae_folder
from tests.unit.text.texts import config, story

LENGTH, FOLLOWING, VOCABULARY = 20, 11, 8192
SIZE = 3 * LENGTH + FOLLOWING
FEW = Bootstrap(draws=100)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("validated") / "tiny", tokenizer=True, vocab_size=VOCABULARY)


@pytest.fixture(scope="module")
def tokenizer(tiny) -> TextTokenizer:
    return TextTokenizer((tiny.folder / "tokenizer.json").read_text(), end_id=2)


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> TextConfig:
    folder = tmp_path_factory.mktemp("validation-text")
    rows = [{"id": f"doc{number}", "text": story(f"doc{number}", 1 + 2 * number)} for number in range(30)]
    (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return config(folder / "text.jsonl", folder / "cache", validation=0.5)


@pytest.fixture(scope="module")
def cache(text, tokenizer) -> TokenCache:
    return open_token_cache(text, tokenizer)


def perplexity(model, windows, context_of) -> float:
    """Of all following tokens but the first, one window at a time through the stock model."""
    total, embed = 0.0, model.get_input_embeddings()
    for window in windows:
        context_PH = context_of(window)
        following = torch.from_numpy(window.following_F)
        scores = model(inputs_embeds=torch.cat([context_PH, embed(following)])[None]).logits[0].log_softmax(-1)
        total -= sum(float(scores[len(context_PH) + at, following[at + 1]]) for at in range(len(following) - 1))
    return math.exp(total / (len(windows) * (FOLLOWING - 1)))


def test_the_table_of_an_autocompressor(tiny, cache: TokenCache, text: TextConfig, tokenizer: TextTokenizer) -> None:
    base = random_model("llama_tied", vocab_size=VOCABULARY)
    validation = Validation(cache, text, tokenizer, LENGTH, 5, base, FOLLOWING, batch=2)
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH)
    table = validation.measure(encoder, FEW)
    windows, empty = validation.windows, torch.zeros(0, 64)
    assert len(windows) == 5

    def vectors(window):
        return expected_vectors(tiny, window.before_T[-2 * LENGTH :].tolist(), LENGTH)

    def base_text(window):
        return base.get_input_embeddings()(torch.from_numpy(window.before_T[-LENGTH:]))

    assert table["none"] == pytest.approx(perplexity(tiny.model, windows, lambda _: empty), rel=1e-4)
    assert table["vectors_2"] == pytest.approx(perplexity(tiny.model, windows, vectors), rel=1e-4)
    assert table["base_text"] == pytest.approx(perplexity(base, windows, base_text), rel=1e-4)
    assert table["damage"] == pytest.approx(table["none"] / table["base_none"], rel=1e-3)
    kept = (table["none"] - table["vectors_1"]) / (table["base_none"] - table["base_text"])
    assert table["kept_gain"] == pytest.approx(kept, rel=1e-3, abs=1e-3)
    assert set(table["intervals"]) == {*CONDITIONS, "damage", "kept_gain"}
    low, high = table["intervals"]["damage"]
    assert low < table["damage"] < high
    assert validation.measure(encoder, FEW) == json.loads(json.dumps(table))  # the base's losses now come from the first time
    alone = Validation(cache, text, tokenizer, LENGTH, 5, None, FOLLOWING, batch=2).measure(encoder, FEW)
    own = (table["none"] - table["vectors_1"]) / (table["none"] - table["text"])
    assert alone["kept_own_gain"] == pytest.approx(own, rel=1e-2)
    low, high = alone["intervals"]["kept_own_gain"]
    assert low < alone["kept_own_gain"] < high


def test_the_table_of_an_icae(tmp_path: Path, cache: TokenCache, text: TextConfig, tokenizer: TextTokenizer) -> None:
    """Slots of every segment for itself, all of them before the continuation, read by the frozen base without a control token."""
    tiny = write_icae_folder(tmp_path / "icae", "llama_gqa", {"segment_length": LENGTH}, vocab_size=VOCABULARY)
    validation = Validation(cache, text, tokenizer, LENGTH, 4, tiny.base, FOLLOWING)
    table = validation.measure(load_encoder(str(tiny.folder)), FEW)
    windows = validation.windows

    def slots(window):
        return expected_slots(tiny, window.before_T.tolist(), LENGTH)

    assert table["vectors_3"] == pytest.approx(perplexity(tiny.base, windows, slots), rel=1e-4)
    assert (table["none"], table["text"], table["damage"]) == pytest.approx((table["base_none"], table["base_text"], 1.0), rel=1e-5)
    assert table["vectors_1"] != table["vectors_3"] != table["wrong"]


def test_windows_are_of_held_out_documents(cache: TokenCache, text: TextConfig) -> None:
    windows = held_out_windows(cache, text, LENGTH, 1000, FOLLOWING)
    names = cache.ids()
    held = {names[number] for number in cache.documents("validation", 0.5)}
    long = {names[number]: int(count) for number, count in enumerate(cache.n_tokens) if count >= SIZE and names[number] in held}
    assert long.keys() < set(names)
    places: dict[str, list[int]] = {}
    for window in windows:
        number = names.index(window.document_id)
        document = cache.tokens[cache.starts[number] : cache.starts[number + 1]].astype(np.int64).tolist()
        wanted = [*window.before_T.tolist(), *window.following_F.tolist()]
        found = [start for start in range(len(document) - SIZE + 1) if document[start : start + SIZE] == wanted]
        places.setdefault(window.document_id, []).append(found[0])
    assert {name: len(starts) for name, starts in places.items()} == {name: min(PER_DOCUMENT, n // SIZE) for name, n in long.items()}
    for starts in places.values():
        assert all(later - earlier >= SIZE for earlier, later in zip(sorted(starts), sorted(starts)[1:], strict=False))


def test_a_few_windows_are_of_as_many_documents_and_the_seed_decides(cache: TokenCache, text: TextConfig) -> None:
    one, same = (held_out_windows(cache, text, LENGTH, 6, FOLLOWING) for _ in range(2))
    assert len({window.document_id for window in one}) == 6
    assert [window.before_T.tolist() for window in one] == [window.before_T.tolist() for window in same]
    other = held_out_windows(cache, text.model_copy(update={"seed": 1}), LENGTH, 6, FOLLOWING)
    assert [window.before_T.tolist() for window in one] != [window.before_T.tolist() for window in other]


def test_what_cannot_be_validated_is_refused(tiny, cache: TokenCache, text: TextConfig, tokenizer: TextTokenizer) -> None:
    with pytest.raises(TrainingTextError, match=r"0 of \d+ held-out documents have the 5120 tokens.* raise text.validation, add longer"):
        Validation(cache, text, tokenizer, 1536, 8)
    with pytest.raises(ConfigurationError, match="open the cache with the encoder's tokenizer"):
        Validation(cache, text, TextTokenizer(tokenizer.definition, end_id=1), LENGTH, 8)
    with pytest.raises(ConfigurationError, match="segments of 20 tokens came to an encoder with 30"):
        Validation(cache, text, tokenizer, LENGTH, 4, following=FOLLOWING).measure(load_encoder(str(tiny.folder), segment_length=30))
