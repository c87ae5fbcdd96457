"""Nights with an ICAE, as the driver and its workers run them, without Ray: what is stored, what is kept, and how it answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import lloco_core.pipeline as pipeline
from lloco_core.answer.local import LocalAnswerer
from lloco_core.compressor import ContextEncoder, load_encoder
from lloco_core.config import AnswerConfig, EncoderConfig, FinetuneConfig, RetrievalConfig
from lloco_core.distributed import ingest as driver
from lloco_core.distributed import models
from lloco_core.distributed.compression import read_planned
from lloco_core.distributed.training import FinetuneJob, stored_inputs
from lloco_core.store.fencing import commit_lease
from lloco_core.store.read import Night, open_night
from lloco_core.store.tables import Store
from lloco_core.store.write import write_shard
from tests.crash.drill import DIMENSION, configuration, finish
from tests.crash.loop import ToyEmbedder
from tests.tiny_models import copy_tokenizer
from tests.unit.compressor.tiny_checkpoints import HIDDEN
from tests.unit.compressor.tiny_icae import MEMORY, SEGMENT, TinyIcae, expected_slots, write_icae_folder

WORDS = ("the", "day", "water", "time", "most", "look", "more", "down", "side", "now", "over", "way")
"""Of one token each."""
QUESTION = "What does the water do?"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyIcae:
    """An ICAE on a random grouped-query base with the tokenizer of the reference model."""
    tiny = write_icae_folder(tmp_path_factory.mktemp("icae") / "encoder", sliding_window=None, vocab_size=8192)
    copy_tokenizer(tiny.folder / "base")
    return tiny


def words(count: int, seed: int = 0) -> list[str]:
    return [WORDS[pick] for pick in np.random.default_rng(seed).integers(0, len(WORDS), count)]


class Nights:
    """A corpus, its store, and the encoder of all nights."""

    def __init__(self, folder: Path, encoder: ContextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.corpus, self.store, self.encoder = folder / "corpus", Store(str(folder / "store")), encoder
        self.settings = EncoderConfig(model=str(encoder.folder), device="cpu", dtype="float32")
        (self.corpus / "g").mkdir(parents=True)
        self.encoded: dict[str, int] = {}
        monkeypatch.setattr("lloco_core.retrieval.embedder.Embedder", lambda _: SimpleNamespace(dimension=DIMENSION))
        monkeypatch.setattr(driver, "compress_shards", self._compress)

    def write(self, name: str, text: list[str]) -> None:
        (self.corpus / "g" / f"{name}.txt").write_text(" ".join(text))

    def run(self, name: str) -> Night:
        self.encoded.clear()
        config = configuration(self.corpus, self.store.root).model_copy(update={"encoder": self.settings})
        facts = models._inspect(self.settings, RetrievalConfig())
        with commit_lease(self.store, name, 600, 0) as lease:
            self.store.create_tables(facts.summary_length, facts.hidden_size, facts.passage_dimension)
            night = finish(driver.Ingest(name, config, self.store, lease, facts, driver.finish_interrupted(self.store, lease)))["night"]
        return open_night(self.store.root, night)

    def _compress(self, plan: Any, numbers: Any, job: Any, _: Any) -> Iterator[Any]:
        for number in numbers:
            compressed = pipeline.compress_shard(read_planned(plan[number], job), self.encoder, ToyEmbedder(), 200, None)
            self.encoded |= {item.document.title: item.n_encoded_tokens for item in compressed.documents}
            yield write_shard(self.store, compressed, job.writing)


@pytest.fixture
def nights(tmp_path: Path, tiny: TinyIcae, monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(tmp_path, load_encoder(str(tiny.folder)), monkeypatch)


def document(night: Night, name: str) -> str:
    return next(row.doc_id for row in night.documents("g") if row.title == name)


def ids_of(encoder: ContextEncoder, text: list[str]) -> list[int]:
    return encoder.tokenize(" ".join(text))[0].tolist()


def assert_stored(night: Night, name: str, tiny: TinyIcae, ids: list[int]) -> None:
    right = expected_slots(tiny, ids)
    assert len(right) == MEMORY * math.ceil(len(ids) / SEGMENT)
    found = night.summaries(document(night, name))
    assert found.shape == right.shape
    np.testing.assert_allclose(found, right.numpy(), atol=2**-8)  # float16, values below 4


def test_a_night_stores_the_slots_of_every_segment(nights: Nights, tiny: TinyIcae) -> None:
    texts = {"short": words(7), "equal": words(SEGMENT), "long": words(3 * SEGMENT + 1, 1)}
    for name, text in texts.items():
        nights.write(name, text)
    night = nights.run("first")
    assert {name: nights.encoded[name] for name in texts} == {"short": 7, "equal": SEGMENT, "long": 3 * SEGMENT + 1}
    for name, text in texts.items():
        assert_stored(night, name, tiny, ids_of(nights.encoder, text))
    rows = night.store.dataset("segments").to_table(columns=["doc_id", "token_start", "token_end"]).to_pylist()
    ends = sorted((row["token_start"], row["token_end"]) for row in rows if row["doc_id"] == document(night, "long"))
    assert ends == [(0, 31), (31, 62), (62, 93), (93, 121)]


def test_a_changed_document_keeps_nothing_and_a_renamed_one_all(nights: Nights, tiny: TinyIcae) -> None:
    text = words(3 * SEGMENT + 5)
    for name in ("grown", "tail", "renamed", "same"):
        nights.write(name, [name, *text])
    nights.run("first")
    changed = {"grown": ["grown", *text, "now"], "tail": ["tail", *text[:-1], "day" if text[-1] != "day" else "way"]}
    for name, other in changed.items():
        nights.write(name, other)
    (nights.corpus / "g" / "renamed.txt").rename(nights.corpus / "g" / "other.txt")
    night = nights.run("second")
    ids = {name: ids_of(nights.encoder, other) for name, other in changed.items()}
    assert nights.encoded == {"grown": len(ids["grown"]), "tail": len(ids["tail"]), "other": 0}
    for name in changed:
        assert_stored(night, name, tiny, ids[name])
    assert_stored(night, "other", tiny, ids_of(nights.encoder, ["renamed", *text]))


def expected_answer(tiny: TinyIcae, encoder: ContextEncoder, vectors: np.ndarray | None, n_new: int) -> str:
    """Greedy and without a cache on the stock base: `[slots ; FT ; question]`."""
    config = AnswerConfig()
    embed = tiny.base.get_input_embeddings()
    x = embed(torch.tensor(encoder.tokenize(config.question_template.replace("{question}", QUESTION))[0].tolist()))
    if vectors is not None:
        x = torch.cat([torch.from_numpy(vectors.copy()).float(), tiny.memory_CH[MEMORY + 2 :].half().float(), x])
    found: list[int] = []
    with torch.no_grad():
        while len(found) < n_new and (not found or found[-1] != 2):
            found.append(int(tiny.base(inputs_embeds=x[None]).logits[0, -1].argmax()))
            x = torch.cat([x, embed(torch.tensor(found[-1:]))])
    return encoder.tokenizer.decode(found, skip_special_tokens=True).strip()


def test_answers_and_finetuning_read_the_slots_and_the_control_token(nights: Nights, tiny: TinyIcae) -> None:
    nights.write("asked", words(70))
    night = nights.run("first")
    doc_id = document(night, "asked")
    vectors = night.summaries(doc_id)
    assert vectors.shape == (2 * MEMORY, HIDDEN)  # what is stored are the slots alone
    answerer = LocalAnswerer(nights.encoder, AnswerConfig(max_new_tokens=10))
    expected = expected_answer(tiny, nights.encoder, vectors, 10)
    assert answerer.answer(QUESTION, vectors) == expected
    assert answerer.answer(QUESTION, None) == expected_answer(tiny, nights.encoder, None, 10) != expected
    job = FinetuneJob(
        group="g",
        run_name="run",
        examples_uri="",
        store_uri=nights.store.root,
        night=night.name,
        encoder=nights.settings,
        recipe=FinetuneConfig(),
        answer=AnswerConfig(),
        output="",
    )
    rows = stored_inputs(job, "cpu", "float32").vectors_of(doc_id)
    np.testing.assert_array_equal(rows, np.concatenate([vectors, tiny.memory_CH[MEMORY + 2 :].numpy().astype(np.float16)]))


def test_an_adapter_of_a_group_is_never_seen_by_the_encoder(nights: Nights, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    lora = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], init_lora_weights=False)
    get_peft_model(load_encoder(str(nights.encoder.folder)).model, lora).save_pretrained(tmp_path / "adapter")
    texts = [ids_of(nights.encoder, words(90))]
    (before,) = nights.encoder.encode(texts)
    answerer = LocalAnswerer(nights.encoder, AnswerConfig(max_new_tokens=10))
    vectors = before.numpy().astype(np.float16)
    plain = answerer.answer(QUESTION, vectors)
    assert answerer.answer(QUESTION, vectors, tmp_path / "adapter") != plain
    for encoder in (nights.encoder, load_encoder(str(nights.encoder.folder), fast=False)):
        assert (encoder.encode(texts)[0] - before).abs().max() < 1e-4
    assert answerer.answer(QUESTION, vectors) == plain
