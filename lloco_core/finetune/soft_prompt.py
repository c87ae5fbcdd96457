"""A causal language model that reads batches of summary vectors and tokens and returns the summed answer loss.

Only the positions before a label go through the output layer: with a vocabulary of 32,000 the logits of a long soft
prompt would outweigh everything else in memory. Everything runs inside one `forward`, which is what DeepSpeed's ZeRO-3
needs to gather partitioned weights. Legend: B rows, T positions, D hidden size, M positions with loss, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from lloco_core.finetune.collate import IGNORED

if TYPE_CHECKING:
    from peft import PeftModel

    from lloco_core.finetune.collate import Batch


def inputs_embeds(embed: nn.Module, batch: Batch) -> torch.Tensor:
    """Input embeddings [B, T, D]: the tokens' own, and the summary vectors where the batch places them."""
    embeds_BTD = embed(batch.token_ids_BT)
    # out of place: the embedding output is a leaf that requires grad when activations are recomputed
    return embeds_BTD.masked_scatter(batch.is_vector_BT.unsqueeze(-1), batch.vectors_ND.to(embeds_BTD.dtype))


class SoftPromptModel(nn.Module):
    """The trained module: a PEFT model of the LLaMA family behind the batch interface."""

    def __init__(self, model: PeftModel) -> None:
        super().__init__()
        self.model = model

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The trained weights only.

        DeepSpeed's `exclude_frozen_parameters` goes by parameter name and so leaves the second name of a tied weight
        in: the whole output layer of a tied model in every checkpoint [ran on deepspeed 0.19.8].
        """
        state = super().state_dict(*args, **kwargs)
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        for name in state.keys() - trained:
            del state[name]
        return state

    def forward(self, batch: Batch) -> torch.Tensor:
        """Cross entropy summed over the labels of the batch, fp32 scalar; 0 when it has none."""
        causal_lm = self.model.get_base_model()
        hidden_BTD = causal_lm.get_decoder()(
            inputs_embeds=inputs_embeds(causal_lm.get_input_embeddings(), batch),
            attention_mask=batch.attention_mask_BT,
            position_ids=batch.position_ids_BT,
            use_cache=False,
        ).last_hidden_state
        target_BT = batch.labels_BT[:, 1:]
        predicts_BT = target_BT != IGNORED
        logits_MV = causal_lm.get_output_embeddings()(hidden_BTD[:, :-1][predicts_BT])
        return cross_entropy(logits_MV.float(), target_BT[predicts_BT], reduction="sum")
