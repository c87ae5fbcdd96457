"""ICAE slots equal an independent derivation on stock transformers and peft, and run through the same engine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import HIDDEN, document

from lloco_core.compressor import Icae, load_encoder
from lloco_core.compressor.loading import encoder_identity
from lloco_core.compressor.segment import Segmentation, prefix_hashes
from lloco_core.errors import EncodingError
from tests.unit.compressor.engine_steps import count_steps
from tests.unit.compressor.tiny_icae import MEMORY, SEGMENT, TinyIcae, expected_slots, write_icae_folder

TOLERANCE = 1e-4
MIXED = [document(n) for n in (5, 120, 40, 41, 81, 1, 200, 39)]
BOTH_WAYS = pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])


@pytest.fixture
def tiny(tmp_path: Path) -> TinyIcae:
    return write_icae_folder(tmp_path / "icae", sliding_window=None)


def assert_close(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    assert [tuple(slots.shape) for slots in found] == [tuple(slots.shape) for slots in expected]
    for index, (slots, right) in enumerate(zip(found, expected, strict=True)):
        assert (slots - right).abs().max() < TOLERANCE, f"document {index}"


@pytest.mark.parametrize("base", ["llama_tied", "llama_gqa", "mistral_window", "qwen2", "qwen3"])
@BOTH_WAYS
def test_mixed_lengths_on_every_base(tmp_path: Path, base: str, fast: bool) -> None:
    tiny = write_icae_folder(tmp_path / "icae", base)
    encoder = load_encoder(str(tiny.folder), fast=fast)
    assert isinstance(encoder, Icae)
    assert (encoder.summary_length, encoder.hidden_size, encoder.segment_length) == (MEMORY, HIDDEN, SEGMENT)
    found = encoder.encode(MIXED)
    assert [len(slots) // MEMORY for slots in found] == [1, 3, 1, 2, 3, 1, 5, 1]
    assert_close(found, [expected_slots(tiny, ids) for ids in MIXED])


@pytest.mark.parametrize("batch_tokens", [1, 50, 150, 10_000])
def test_steps_of_any_size_and_all_segments_at_once(tiny: TinyIcae, monkeypatch: pytest.MonkeyPatch, batch_tokens: int) -> None:
    encoder = load_encoder(str(tiny.folder), batch_tokens=batch_tokens)
    steps = count_steps(encoder, monkeypatch)
    assert_close(encoder.encode(MIXED), [expected_slots(tiny, ids) for ids in MIXED])
    n_segments = sum(math.ceil(len(ids) / SEGMENT) for ids in MIXED)
    assert sum(map(sum, steps)) == sum(map(len, MIXED)) + MEMORY * n_segments  # nothing twice, no padding
    if batch_tokens == 10_000:
        assert [len(step) for step in steps] == [n_segments]  # a segment waits for no other


@BOTH_WAYS
def test_a_segment_depends_on_itself_alone(tiny: TinyIcae, fast: bool) -> None:
    encoder = load_encoder(str(tiny.folder), fast=fast)
    ids = document(120)
    changed = [(ids[0] + 1) % 211, *ids[1:]]
    (slots,), (other,) = encoder.encode([ids]), encoder.encode([changed])
    assert torch.equal(slots[MEMORY:], other[MEMORY:])
    assert (slots[:MEMORY] - other[:MEMORY]).abs().max() > 0.1


def test_the_adapter_acts_on_encoding_only(tiny: TinyIcae) -> None:
    encoder = load_encoder(str(tiny.folder))
    (slots,) = encoder.encode([document(30)])
    ids = torch.tensor([document(20)])
    assert (encoder.model(ids).logits - tiny.base(ids).logits).abs().max() < TOLERANCE
    x = torch.cat([tiny.base.model.embed_tokens(torch.tensor(document(30))), tiny.memory_CH[:MEMORY]])
    without_adapter = tiny.base.model(inputs_embeds=x[None], use_cache=False).last_hidden_state[0, -MEMORY:]
    assert (slots - without_adapter).abs().max() > 0.1


@pytest.fixture
def storages() -> Iterator[object]:
    def size(*models: torch.nn.Module) -> int:
        tensors = [parameter for model in models for parameter in model.parameters()]
        return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())

    yield size


def test_only_the_merged_q_and_v_are_held_twice(tiny: TinyIcae, storages) -> None:
    encoder = load_encoder(str(tiny.folder))
    alone = storages(encoder.model)
    twice = sum(layer.self_attn.q_proj.weight.nbytes + layer.self_attn.v_proj.weight.nbytes for layer in encoder.model.model.layers)
    assert storages(encoder.model, encoder.decoder) == alone + twice
    encoder.encode([document(50)])  # the engine joins projections into one matrix
    assert storages(encoder.model, encoder.decoder) == alone + twice


def test_the_prompt_goes_on_with_the_third_control_token(tiny: TinyIcae) -> None:
    vectors = np.random.default_rng(0).normal(size=(6, HIDDEN)).astype(np.float16)
    prompt = load_encoder(str(tiny.folder)).soft_prompt(vectors)
    assert prompt.dtype == np.float16
    np.testing.assert_array_equal(prompt[:-1], vectors)
    np.testing.assert_array_equal(prompt[-1], tiny.memory_CH[MEMORY + 2].numpy().astype(np.float16))


def test_what_came_before_cannot_be_continued(tiny: TinyIcae) -> None:
    encoder = load_encoder(str(tiny.folder))
    (slots,) = encoder.encode([document(80)])
    with pytest.raises(EncodingError, match=r"document 1 came with 3 vectors to go on from.*encode all of it"):
        encoder.encode([document(40), document(40)], prefix=[None, slots[:MEMORY]])
    assert_close(encoder.encode([document(40)], prefix=[slots[:0]]), [expected_slots(tiny, document(40))])


def test_the_segment_length_of_a_call_and_its_limit(tiny: TinyIcae) -> None:
    encoder = load_encoder(str(tiny.folder))
    assert_close(encoder.encode([document(100)], segment_length=64), [expected_slots(tiny, document(100), 64)])
    with pytest.raises(EncodingError, match="use 1 to 509"):
        load_encoder(str(tiny.folder), segment_length=510)


def test_the_published_segment_length_is_the_default(tmp_path: Path) -> None:
    tiny = write_icae_folder(tmp_path / "a", config={"segment_length": 512})
    assert load_encoder(str(tiny.folder)).segment_length == 512 - MEMORY  # what the positions of this base allow
    tiny = write_icae_folder(tmp_path / "b", config={"segment_length": 512}, max_position_embeddings=1024)
    assert load_encoder(str(tiny.folder)).segment_length == 512
    assert encoder_identity(str(tiny.folder), "float32", None)[1:] == (512, MEMORY, HIDDEN, True)


@pytest.mark.parametrize("n_tokens", [1, 39, 40, 41, 79, 80, 81, 121, 1537, 306_601])
def test_equal_segments_cover_the_document(n_tokens: int) -> None:
    bounds = Segmentation(SEGMENT, equal=True).bounds(n_tokens)
    assert len(bounds) == math.ceil(n_tokens / SEGMENT)
    assert [start for start, _ in bounds] == [0, *(end for _, end in bounds[:-1])]
    lengths = {end - start for start, end in bounds[:-1]}
    assert len(lengths) <= 1
    assert 0 < bounds[-1][1] - bounds[-1][0] <= max(lengths, default=SEGMENT) <= SEGMENT
    assert bounds[-1][1] == n_tokens
    assert Segmentation(SEGMENT, equal=True).bounds(0) == []


def test_equal_segments_are_kept_all_or_none() -> None:
    def hashes(ids: list[int], cutting: Segmentation) -> list[str]:
        return prefix_hashes("encoder", np.array(ids, np.int32), cutting.bounds(len(ids)))

    ids, equal, full = document(150), Segmentation(SEGMENT, equal=True), Segmentation(SEGMENT)
    tail, grown = [*ids[:-1], ids[-1] ^ 1], [*ids, 3]
    assert full.count_kept(hashes(ids, full), hashes(grown, full)) == 3
    assert full.count_kept(hashes(ids, full), hashes(tail, full)) == 3
    assert equal.count_kept(hashes(ids, equal), hashes(ids, equal)) == 4
    assert equal.count_kept(hashes(ids, equal), hashes(grown, equal)) == 0
    assert equal.count_kept(hashes(ids, equal), hashes(tail, equal)) == 0


def test_bfloat16_stays_close_to_float32(tiny: TinyIcae) -> None:
    found = load_encoder(str(tiny.folder), dtype="bfloat16").encode(MIXED[:4])
    for ids, slots in zip(MIXED, found, strict=False):
        assert slots.dtype == torch.bfloat16
        assert torch.cosine_similarity(slots.float(), expected_slots(tiny, ids), dim=-1).min() > 0.995
