"""The engine under load: several callers at once, memory that grows, ends, or fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from tiny_checkpoints import SUMMARY, Tiny, document, expected_vectors

from lloco_core.compressor import load_encoder
from lloco_core.compressor import memory as memory_module
from lloco_core.compressor.decoder import DecoderShape
from lloco_core.compressor.engine import Engine
from lloco_core.compressor.memory import KeyValueMemory, plan_positions
from lloco_core.errors import ConfigurationError, EncodingError

LENGTH = 40
SHAPE = DecoderShape(n_layers=2, hidden_size=16, intermediate_size=32, query_heads=4, kv_heads=2, head_dim=4)
Checkpoint = Callable[..., Tiny]


def test_callers_share_the_steps_and_get_their_own_vectors(checkpoint: Checkpoint) -> None:
    tiny = checkpoint()
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=200)
    calls = [[document(n, seed) for n in (30 + seed, 150, 5, 90)] for seed in range(6)]
    results: list[list[torch.Tensor] | None] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def encode(index: int) -> None:
        barrier.wait()
        results[index] = encoder.encode(calls[index])

    threads = [threading.Thread(target=encode, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for documents, vectors in zip(calls, results, strict=True):
        for ids, found in zip(documents, vectors, strict=True):
            assert (found - expected_vectors(tiny, ids, LENGTH)).abs().max() < 1e-4
    assert encoder.engine.memory.is_empty


def test_callers_that_come_first_together_build_one_engine(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def slow(*arguments):
        threading.Event().wait(0.05)
        built.append(Engine(*arguments))
        return built[-1]

    monkeypatch.setattr("lloco_core.compressor.encoder.Engine", slow)
    encoder = load_encoder(str(checkpoint().folder))
    threads = [threading.Thread(target=encoder.encode, args=([document(20)],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert built == [encoder.engine]


def test_a_short_call_does_not_wait_for_a_long_one(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(str(checkpoint().folder), segment_length=LENGTH, batch_tokens=100)
    run, started, n_steps = encoder.engine.decoder, threading.Event(), 0

    def slow(step, memory):
        nonlocal n_steps
        n_steps += 1
        started.set()
        threading.Event().wait(0.01)
        return run(step, memory)

    slow.device, slow.shape = run.device, run.shape
    monkeypatch.setattr(encoder.engine, "decoder", slow)
    long_call = threading.Thread(target=encoder.encode, args=([document(LENGTH * 40), document(LENGTH * 40, 1)],))
    long_call.start()
    started.wait(10)
    encoder.encode([document(30)])
    steps_when_done = n_steps
    long_call.join(60)
    assert steps_when_done < n_steps  # it came back while the other was still running


def test_an_error_in_a_step_leaves_nothing_behind(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = checkpoint()
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=60)
    with monkeypatch.context() as patch:
        patch.setattr(encoder.engine, "_run", lambda chunks: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            encoder.encode([document(100), document(20)])
    assert encoder.engine.memory.is_empty
    (vectors,) = encoder.encode([document(100)])
    assert (vectors - expected_vectors(tiny, document(100), LENGTH)).abs().max() < 1e-4


def test_out_of_memory_halves_the_step_and_goes_on(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = checkpoint()
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=400)
    run = encoder.engine.decoder

    def card(step, memory):  # a card that holds the activations of 120 positions
        if len(step.positions_M) > 120:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(step, memory)

    card.device, card.shape = run.device, run.shape
    monkeypatch.setattr(encoder.engine, "decoder", card)
    documents = [document(n) for n in (130, 90, 200, 15)]
    found = encoder.encode(documents)
    assert encoder.engine.step_tokens == 100
    for ids, vectors in zip(documents, found, strict=True):
        assert (vectors - expected_vectors(tiny, ids, LENGTH)).abs().max() < 1e-4


def test_out_of_memory_at_the_smallest_step_says_so(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(str(checkpoint().folder), segment_length=LENGTH, batch_tokens=64)

    def card(chunks):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder.engine, "_run", card)
    with pytest.raises(EncodingError, match="no memory even for a step of"):
        encoder.encode([document(100)])


def test_a_document_that_does_not_fit_is_refused_by_name(checkpoint: Checkpoint) -> None:
    tiny = checkpoint()
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=64)
    encoder.engine.memory.limit = 70
    with pytest.raises(EncodingError, match=r"document 1 needs keys and values of 76 positions, memory holds 70"):
        encoder.encode([document(40), document(9 * LENGTH), document(7)])
    (vectors,) = encoder.encode([document(3 * LENGTH)])
    assert (vectors - expected_vectors(tiny, document(3 * LENGTH), LENGTH)).abs().max() < 1e-4


def test_a_document_that_does_not_fit_is_refused_alone(checkpoint: Checkpoint) -> None:
    encoder = load_encoder(str(checkpoint().folder), segment_length=LENGTH, batch_tokens=64)
    encoder.engine.memory.limit = 70
    with pytest.raises(EncodingError, match="document 0 needs keys and values"):
        encoder.encode([document(9 * LENGTH)])


def test_busy_seconds_grow_with_the_work(checkpoint: Checkpoint) -> None:
    encoder = load_encoder(str(checkpoint().folder), segment_length=LENGTH)
    assert encoder.busy_seconds == 0
    encoder.encode([document(100)])
    first = encoder.busy_seconds
    encoder.encode([document(100)])
    assert encoder.busy_seconds > first > 0


def test_memory_grows_and_keeps_what_it_holds() -> None:
    memory = KeyValueMemory(SHAPE, torch.float32, torch.device("cpu"), limit=100)
    start = memory.allocate(10)
    memory.keys[1][start : start + 10] = 7.0
    assert memory.allocate(50) == 10
    assert memory.capacity == 60
    assert (memory.keys[1][:10] == 7).all()
    assert memory.allocate(50) is None
    assert memory.allocate(40) == 60
    assert memory.capacity == 100
    for first, length in ((0, 10), (60, 40), (10, 50)):
        assert not memory.is_empty
        memory.release(first, length)
    assert memory.is_empty


def test_memory_stays_as_it_is_when_the_device_has_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = KeyValueMemory(SHAPE, torch.float32, torch.device("cpu"), limit=100)
    memory.allocate(10)

    def refuse(old, n_positions):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("lloco_core.compressor.memory._extended", refuse)
    assert memory.allocate(20) is None
    assert memory.limit == memory.capacity == 10


@pytest.mark.parametrize("grown", [1, 2, 3])
def test_buffers_stay_equally_long_when_memory_ends_between_them(grown: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """FlashAttention takes no keys beside fewer values, and what lies in them must stay."""
    memory = KeyValueMemory(DecoderShape(2, 16, 2, 2, 2, 8), torch.float32, torch.device("cpu"), limit=100)
    memory.allocate(10)
    for buffer in (*memory.keys, *memory.values):
        buffer.normal_()
    before = [buffer.clone() for buffer in (*memory.keys, *memory.values)]
    extended, left = memory_module._extended, iter(range(grown))

    def card(old, n_positions):
        if next(left, None) is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return extended(old, n_positions)

    monkeypatch.setattr(memory_module, "_extended", card)
    assert memory.allocate(20) is None
    for found, expected in zip((*memory.keys, *memory.values), before, strict=True):
        torch.testing.assert_close(found, expected)


def test_the_plan_leaves_room_for_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lloco_core.compressor.memory.free_bytes", lambda device: 1e6)
    per_position = 2 * SHAPE.n_layers * SHAPE.kv_heads * SHAPE.head_dim * 4
    cpu = torch.device("cpu")
    assert plan_positions(SHAPE, torch.float32, cpu, 100, 0.5) == int((0.5e6 - 100 * SHAPE.activation_width * 4) // per_position)
    assert plan_positions(SHAPE, torch.float32, cpu, 10**6, 0.5) == 0


def test_a_step_that_memory_cannot_hold_is_halved_at_the_start(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = checkpoint()
    monkeypatch.setattr("lloco_core.compressor.memory.free_bytes", lambda device: 2e6)
    encoder = load_encoder(str(tiny.folder), segment_length=LENGTH, batch_tokens=4000)
    (vectors,) = encoder.encode([document(100)])
    assert 100 < encoder.engine.step_tokens < 4000
    assert (vectors - expected_vectors(tiny, document(100), LENGTH)).abs().max() < 1e-4
    monkeypatch.setattr("lloco_core.compressor.memory.free_bytes", lambda device: 1e3)
    with pytest.raises(EncodingError, match="no memory even for a step"):
        load_encoder(str(tiny.folder), segment_length=LENGTH).encode([document(100)])


def test_float8_needs_a_card_that_has_it(checkpoint: Checkpoint) -> None:
    folder = str(checkpoint().folder)
    with pytest.raises(ConfigurationError, match="cpu has no float8 products"):
        load_encoder(folder, quantization="fp8").encode([document(SUMMARY)])
    with pytest.raises(ConfigurationError, match="int3"):
        load_encoder(folder, quantization="int3")
    assert load_encoder(folder, quantization="fp8").fingerprint != load_encoder(folder).fingerprint


def test_rotary_scalings_that_depend_on_length_are_refused(checkpoint: Checkpoint) -> None:
    folder = str(checkpoint(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}).folder)
    with pytest.raises(ConfigurationError, match="load it with fast=False"):
        load_encoder(folder).encode([document(20)])
    assert load_encoder(folder, fast=False).encode([document(20)])[0].shape[0] == SUMMARY
