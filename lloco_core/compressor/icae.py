"""The in-context autoencoder as a context encoder (Ge et al. 2023, arXiv 2307.06945, v2) on stock transformers models.

Segments of equal length, at most 512 tokens, are run each for itself as `[tokens ; memory tokens]`; the final-normed hidden states
at the memory tokens are the vectors ("memory slots"). The encoder is the base model with LoRA on q and v; who answers is the base
model itself, which reads `[slots ; FT ; question]`. LoRA is merged into second q and v matrices, the only weights that are there
twice (7B Mistral shape: 1.34 GB in bfloat16), so encoding costs nothing more than the base model does.

Shape suffixes: P vectors, k memory tokens of a segment, H hidden size, R rank, I and O inputs and outputs of a projection.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from lloco_core.compressor.checkpoint import load_base
from lloco_core.compressor.encoder import ContextEncoder, fitting_segment_length
from lloco_core.compressor.engine import DocumentWork
from lloco_core.compressor.icae_checkpoint import CONTROL_TOKENS, base_folder, icae_digest, read_icae_config, read_icae_tensors
from lloco_core.compressor.options import EngineOptions
from lloco_core.compressor.segment import Segmentation
from lloco_core.compressor.tokenizing import load_tokenizer
from lloco_core.compressor.twin import twin_of
from lloco_core.errors import EncodingError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from lloco_core.compressor.icae_checkpoint import IcaeConfig, LoraPair


class IcaeWeights(NamedTuple):
    """A loaded ICAE."""

    config: IcaeConfig
    base: PreTrainedModel
    """The frozen causal language model that answers."""
    decoder: PreTrainedModel
    """Its twin that encodes, LoRA merged."""
    memory_kH: torch.Tensor
    answer_token_H: torch.Tensor
    """The control token FT."""


def load_icae(folder: Path, dtype: torch.dtype, device: str) -> IcaeWeights:
    """Load base model, merged encoder, and memory tokens.

    Raises:
        CheckpointError: files or keys are missing, or shapes do not fit the base model.
    """
    config, base = read_icae_config(folder), load_base(base_folder(folder), dtype, device)
    tensors = read_icae_tensors(folder, base)
    decoder = twin_of(base.get_decoder())
    for (layer, projection), pair in tensors.lora.items():
        attention = decoder.layers[layer].self_attn
        setattr(attention, projection, _merged(getattr(attention, projection), pair, config.lora_alpha))
    memory_kH, control_H = tensors.memory_CH.to(device=device, dtype=dtype).split([config.memory_tokens, len(CONTROL_TOKENS)])
    return IcaeWeights(config, base, decoder, memory_kH, control_H[CONTROL_TOKENS.index("FT")])


@torch.no_grad()
def _merged(linear: nn.Linear, pair: LoraPair, alpha: float) -> nn.Linear:
    """The projection with its adapter added in float32: `W + alpha / R * B A`."""
    a_RI, b_OR = (part.to(linear.weight.device, torch.float32) for part in pair)
    weight_OI = torch.addmm(linear.weight.float(), b_OR, a_RI, alpha=alpha / len(a_RI))
    merged = nn.Linear(linear.in_features, linear.out_features, bias=False, device="meta")
    merged.weight = nn.Parameter(weight_OI.to(linear.weight.dtype), requires_grad=False)
    merged.bias = linear.bias
    return merged


def segment_length_of(icae: IcaeConfig, base: PretrainedConfig, wanted: int | None) -> int:
    """Tokens per segment: what is wanted, or what the checkpoint says if it fits.

    Raises:
        EncodingError: segment and memory tokens together exceed `max_position_embeddings`.
    """
    limit = base.max_position_embeddings
    return fitting_segment_length(wanted or min(icae.segment_length, limit - icae.memory_tokens), icae.memory_tokens, limit)


class Icae(ContextEncoder):
    """Every segment is a chain of its own."""

    def __init__(
        self,
        weights: IcaeWeights,
        folder: Path,
        segment_length: int | None = None,
        options: EngineOptions = EngineOptions(),  # noqa: B008 - frozen
    ) -> None:
        segmentation = Segmentation(segment_length_of(weights.config, weights.base.config, segment_length), equal=True)
        super().__init__(weights.base, weights.memory_kH, folder, segmentation, options)
        self._decoder = weights.decoder
        self._answer_token_1H = weights.answer_token_H[None].float().cpu().numpy()

    @property
    def decoder(self) -> PreTrainedModel:
        """The adapted twin of the answering model's decoder."""
        return self._decoder

    @property
    def checkpoint_digest(self) -> str:
        """Hash of the files that the vectors depend on."""
        return icae_digest(self.folder)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base model's tokenizer."""
        return load_tokenizer(base_folder(self.folder))

    def soft_prompt(self, vectors_PH: np.ndarray) -> np.ndarray:
        """The vectors and the control token FT [P + 1, H]."""
        return np.concatenate([vectors_PH, self._answer_token_1H.astype(vectors_PH.dtype)])

    def _chains(self, order: int, segments_T: list[np.ndarray], prefix: torch.Tensor | np.ndarray | None) -> list[DocumentWork]:
        if prefix is not None and len(prefix):
            raise EncodingError(
                f"document {order} came with {len(prefix)} vectors to go on from; the segments of an ICAE do not read one another's "
                "vectors, and their cuts depend on the whole document: encode all of it"
            )
        return [DocumentWork(order, [segment_T], None) for segment_T in segments_T]
