"""Perplexity under every condition: exact against stock transformers on a random model, sensible on the packaged checkpoint."""

import json
import math

import numpy as np
import pytest
import torch

from lloco_core.compressor import load_encoder
from lloco_core.errors import ConfigurationError, DatasetError
from lloco_core.evaluation.continuation import Continuations, cut_windows, following_losses
from lloco_core.evaluation.intervals import Bootstrap
from lloco_core.evaluation.perplexity import CONDITIONS, Losses, perplexity_table
from tests.unit.compressor.tiny_checkpoints import SUMMARY, document, expected_vectors, random_model, write_checkpoint

LENGTH, FOLLOWING = 20, 11
FEW = Bootstrap(draws=200)


@pytest.fixture(params=[True, False], ids=["accumulate", "newest"])
def tiny(request, tmp_path):
    return write_checkpoint(tmp_path / "tiny", accumulate=request.param)


@pytest.fixture
def encoder(tiny):
    return load_encoder(str(tiny.folder), segment_length=LENGTH)


def plain_loss(model, context_PH, following):
    """Of one window: the whole sequence through the stock model, one position after the other."""
    embed = model.get_input_embeddings()
    x = torch.cat([context_PH, embed(torch.tensor(following))])
    scores = model(inputs_embeds=x[None]).logits[0].log_softmax(-1)
    return -sum(float(scores[len(context_PH) + at, following[at + 1]]) for at in range(len(following) - 1))


def windows_of(seeds, most=1):
    size = 3 * LENGTH + FOLLOWING
    return cut_windows({f"doc{seed}": np.array(document(size * most + seed, seed)) for seed in seeds}, 3 * LENGTH, FOLLOWING, most)


def test_every_condition_equals_its_definition(tiny, encoder):
    windows, base = windows_of([1, 2, 3]), random_model("llama_tied")
    found = Continuations(encoder, windows, base, batch=2)

    def vectors(window, segments):
        ids = window.before_T[-segments * LENGTH :].tolist()
        new = expected_vectors(tiny, ids, LENGTH, accumulate=encoder.accumulate)
        return new if encoder.accumulate else new[-SUMMARY:]

    def contexts(condition):
        empty = torch.zeros(0, tiny.summary_SH.shape[1])
        if condition.endswith("none"):
            return [empty] * 3
        if condition.endswith("text"):
            embed = (base if condition == "base_text" else tiny.model).get_input_embeddings()
            return [embed(torch.tensor(window.before_T[-LENGTH:])) for window in windows]
        if condition == "wrong":
            return [vectors(windows[other], 3) for other in (1, 2, 0)]
        return [vectors(window, int(condition[-1])) for window in windows]

    for condition in CONDITIONS:
        model = base if condition.startswith("base") else tiny.model
        expected = [
            plain_loss(model, context, window.following_F.tolist()) for context, window in zip(contexts(condition), windows, strict=True)
        ]
        losses = found.losses(condition)
        np.testing.assert_allclose(losses.sums_N, expected, rtol=1e-5)
        assert losses.tokens_N.tolist() == [FOLLOWING - 1] * 3


def test_batches_change_nothing(encoder):
    windows = windows_of([1, 2, 3, 4, 5])
    for condition in ("vectors_2", "text"):
        one, many = (Continuations(encoder, windows, batch=batch).losses(condition) for batch in (1, 4))
        np.testing.assert_allclose(one.sums_N, many.sums_N, rtol=1e-6)


def test_another_documents_vectors_come_from_another_document(encoder):
    """Two windows of a document stand side by side: the next window is not always another document's."""
    windows = windows_of([1, 2], most=2)
    assert [window.document_id for window in windows] == ["doc1", "doc1", "doc2", "doc2"]
    found = Continuations(encoder, windows)
    right = found._vectors(3)
    for vectors, other in zip(found._wrong(), (2, 2, 0, 0), strict=True):
        assert vectors is right[other]
    with pytest.raises(ConfigurationError, match="all 2 windows are of 'doc1'"):
        Continuations(encoder, windows[:2]).losses("wrong")


def test_windows_stand_one_behind_the_other():
    ids = np.arange(100)
    windows = cut_windows({"a": ids}, before=20, following=10, most=5)
    assert [(window.before_T[0], window.before_T[-1], window.following_F[0], window.following_F[-1]) for window in windows] == [
        (0, 19, 20, 29),
        (30, 49, 50, 59),
        (60, 79, 80, 89),
    ]
    with pytest.raises(DatasetError, match="1 documents have fewer than 101 tokens, the first is 'a'"):
        cut_windows({"a": ids}, before=91, following=10)


def test_the_table_is_the_exponential_of_the_mean_over_tokens():
    losses = {"none": Losses(np.array([40.0, 60]), np.array([10, 10])), "text": Losses(np.array([20.0, 60]), np.array([10, 30]))}
    table = perplexity_table(losses.__getitem__, ["a", "b"], ("none", "text"), FEW)
    assert table["none"] == pytest.approx(math.exp(5), abs=1e-3)
    assert table["text"] == pytest.approx(math.exp(2), abs=1e-3)
    assert table["intervals"]["none"] == pytest.approx([math.exp(4), math.exp(6)], abs=1e-3)
    assert table["intervals"]["text"] == pytest.approx([math.exp(2)] * 2, abs=1e-3)
    assert table["tokens"] == 40
    assert json.loads(json.dumps(table)) == table


def test_what_cannot_be_measured_is_refused(encoder):
    found = Continuations(encoder, windows_of([1, 2]))
    with pytest.raises(ConfigurationError, match="condition 'base_none' needs the model before encoder training"):
        found.losses("base_none")
    with pytest.raises(ConfigurationError, match="condition 'vectors' is unknown"):
        found.losses("vectors")
    with pytest.raises(ConfigurationError, match="80 tokens of context are asked for, windows hold 60"):
        found.losses("vectors_4")
    with pytest.raises(ConfigurationError, match=r"windows of the lengths \[\(5, 0\), \(6, 0\)\]"):
        following_losses(encoder.model, [np.arange(5), np.arange(6)], [None, None])
