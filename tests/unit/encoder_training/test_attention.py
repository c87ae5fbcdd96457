"""Attention in training asks the device nothing, and is the stock model's."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import masking_utils

from lloco_core.encoder_training.attention import NAME, use_causal_attention
from lloco_core.encoder_training.icae_module import IcaeModule
from tests.unit.encoder_training.tiny_encoder import tiny_model, tokens

ROWS = tokens(2, 9, seed=4)


class Asked(Exception):
    """The model looked for packed sequences, which reads from the device."""


def test_no_answer_is_read_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> None:
        raise Asked

    stock, model = tiny_model(seed=1), tiny_model(seed=1)
    expected = stock(ROWS, use_cache=False).logits
    use_causal_attention(model)
    monkeypatch.setattr(masking_utils, "find_packed_sequence_indices", ask)
    torch.testing.assert_close(model(ROWS, use_cache=False).logits, expected)
    with pytest.raises(Asked):
        stock(ROWS, use_cache=False)
    assert NAME not in json.dumps(model.config.to_dict()), "a checkpoint would name it"


def test_a_sliding_window_stays() -> None:
    model = tiny_model("mistral_window", sliding_window=3)
    before = model(ROWS, use_cache=False).logits
    use_causal_attention(model)
    torch.testing.assert_close(model(ROWS, use_cache=False).logits, before)


def test_both_models_of_an_icae_are_not_asked_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> None:
        raise Asked

    monkeypatch.setattr(masking_utils, "find_packed_sequence_indices", ask)
    module = IcaeModule(tiny_model(), memory_tokens=2, rank=2, alpha=2)
    slots_BPH = module.read(ROWS, [(0, 5), (5, 9)])
    assert module.decode(slots_BPH).shape == slots_BPH.shape
