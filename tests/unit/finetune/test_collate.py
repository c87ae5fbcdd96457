from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from lloco_core.finetune.collate import IGNORED, collate
from lloco_core.finetune.lora import attach_lora
from lloco_core.finetune.rows import Row
from lloco_core.finetune.soft_prompt import SoftPromptModel, inputs_embeds


@pytest.fixture(scope="module")
def model() -> SoftPromptModel:
    soft = SoftPromptModel(attach_lora(tiny.tiny_model(), tiny.recipe(gradient_checkpointing=False)))
    with torch.no_grad():
        for name, parameter in soft.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return soft.eval()


def test_padded_batch_equals_single_rows(model: SoftPromptModel) -> None:
    rows = [tiny.dataset()[index] for index in (9, 0, 4)]
    together = model(collate(rows))
    alone = [model(collate([row])) for row in rows]
    assert together.item() == pytest.approx(sum(loss.item() for loss in alone), abs=1e-4 * len(alone))
    per_token = together.item() / collate(rows).n_targets
    assert per_token == pytest.approx(sum(loss.item() for loss in alone) / sum(len(row.answer_ids) for row in rows), abs=1e-5)


def test_hidden_states_of_padded_rows_equal_single_rows(model: SoftPromptModel) -> None:
    rows = [tiny.dataset()[index] for index in (9, 0, 4)]

    def hidden(batch):
        lm = model.model.get_base_model()
        embeds = inputs_embeds(lm.get_input_embeddings(), batch)
        return lm.get_decoder()(inputs_embeds=embeds, attention_mask=batch.attention_mask_BT, position_ids=batch.position_ids_BT)[0]

    together = hidden(collate(rows))
    for index, row in enumerate(rows):
        torch.testing.assert_close(together[index, : len(row)], hidden(collate([row]))[0], atol=1e-5, rtol=1e-5)


def test_loss_equals_stock_forward(model: SoftPromptModel) -> None:
    """The shortcut over the output layer changes nothing against transformers' own logits."""
    row = tiny.dataset()[7]
    lm = model.model.get_base_model()
    ids = torch.tensor([row.prompt_ids + row.answer_ids])
    embeds = torch.cat([torch.from_numpy(row.vectors_KD).float()[None], lm.get_input_embeddings()(ids)], dim=1)
    logits = model.model(inputs_embeds=embeds).logits[0, -len(row.answer_ids) - 1 : -1]
    expected = cross_entropy(logits, torch.tensor(row.answer_ids), reduction="sum")
    assert model(collate([row])).item() == pytest.approx(expected.item(), abs=1e-4)


def test_only_answer_and_eos_are_labels() -> None:
    rows = [tiny.dataset()[index] for index in (2, 5)]
    batch = collate(rows)
    for index, row in enumerate(rows):
        start = len(row.vectors_KD) + len(row.prompt_ids)
        assert batch.labels_BT[index, start : len(row)].tolist() == row.answer_ids
        assert (batch.labels_BT[index, :start] == IGNORED).all()
        assert (batch.labels_BT[index, len(row) :] == IGNORED).all()
        assert batch.position_ids_BT[index, : len(row)].tolist() == list(range(len(row)))
    assert batch.n_targets == sum(len(row.answer_ids) for row in rows)
    assert batch.n_positions == sum(len(row) for row in rows)


def test_vectors_stand_in_their_rows() -> None:
    rows = [tiny.dataset()[index] for index in (9, 0, 4)]
    batch = collate(rows)
    embed = torch.nn.Embedding(300, tiny.HIDDEN)
    embeds = inputs_embeds(embed, batch)
    for index, row in enumerate(rows):
        n_vectors = len(row.vectors_KD)
        assert torch.equal(embeds[index, :n_vectors], torch.from_numpy(row.vectors_KD).float())
        assert torch.equal(embeds[index, n_vectors : len(row)], embed(torch.tensor(row.prompt_ids + row.answer_ids)))


def test_row_without_vectors() -> None:
    batch = collate([Row(np.zeros((0, tiny.HIDDEN), np.float16), [5, 6], [7, 2]), tiny.dataset()[0]])
    assert batch.token_ids_BT[0, :4].tolist() == [5, 6, 7, 2]
    assert not batch.is_vector_BT[0].any()


def test_batch_without_loss_has_zero_loss_and_gradients(model: SoftPromptModel) -> None:
    loss = model(collate([tiny.dataset()[0]]).without_loss())
    assert loss.item() == 0
    model.zero_grad()
    loss.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained and all(parameter.grad is not None and not parameter.grad.any() for parameter in trained)
