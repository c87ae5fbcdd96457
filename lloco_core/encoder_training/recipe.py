"""Recipes of encoder training. Defaults are those of the AutoCompressor paper (arXiv 2305.14788) and its released checkpoints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lloco_core.config import Concern


class LoraRecipe(Concern):
    """LoRA; merged into the weights on export."""

    modules: Literal["attention", "all"] = "attention"
    """The projections of attention, or those of the feed-forward layers too."""

    r: int = Field(16, ge=1)
    """Rank."""
    alpha: int = Field(16, ge=1)
    """Scale, divided by the rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """On the input of every adapter."""


class AutoCompressorConfig(Concern):
    """How rows of text become losses of an AutoCompressor."""

    summary_length: int = Field(50, ge=1)
    """Summary vectors per segment (S), where the checkpoint is a plain language model; else it says."""
    accumulate: bool = True
    """Every later segment sees all vectors; False is the RMT variant, which carries the newest only."""
    substep_tokens: int = Field(3072, ge=2)
    """Rows are read in equal parts of about this many tokens, a shorter row in one. Gradients reach through the segments of one part;
    vectors are detached between parts."""
    segments: int = Field(2, ge=1)
    """Segments per substep, cut at random places."""
    even_cuts: float = Field(0.0, ge=0, le=1)
    """Share of the batches whose segments are all equally long, as they are for an encoder that serves."""
    segment_multiple: int = Field(1, ge=1)
    """Cuts are at multiples of this many tokens from the substep's start: few shapes to compile, and no shorter segments."""
    segment_checkpointing: bool = False
    """Compute all segments of a substep but the last again in the backward pass; saves their memory."""
    lm_weight: float = Field(1.0, gt=0)
    """Of the next-token loss of the text."""
    answer_weight: float = Field(1.0, gt=0)
    """Of the answers given after compression, in batches that have any."""
    plain_share: float = Field(0.0, ge=0, le=1)
    """Share of every batch's rows, the last ones, that are also read without compression, which keeps the language model what it was."""
    plain_tokens: int = Field(2048, ge=2)
    """They are read in pieces of this many tokens; what is left over is not."""
    plain_weight: float = Field(1.0, gt=0)
    """Of the next-token loss of the plain rows."""
    kl_weight: float = Field(0.0, ge=0)
    """Of the divergence of the plain rows' predictions from those of the frozen model that training started from."""
    context_kl_weight: float = Field(0.0, ge=0)
    """Of the divergence of the text's predictions, made with vectors of what came before, from those that the frozen model makes with
    that as text, as far back as its positions reach and at least half of it (context distillation)."""
    frozen_embeddings: bool = False
    """Where every parameter is trained: leave token embeddings and output layer as they are. A delta is smaller then, and no gradient of
    the output layer is computed."""
    logits_chunk: int = Field(4096, ge=1)
    """Positions whose logits are held at once."""

    @property
    def needs_first_model(self) -> bool:
        """Whether the losses ask the model that training started from."""
        return bool(self.kl_weight or self.context_kl_weight)

    @model_validator(mode="after")
    def _divergence_has_rows(self) -> AutoCompressorConfig:
        if self.kl_weight and not self.plain_share:
            raise ValueError("kl_weight needs plain_share: the divergence is taken over those rows")
        return self


class IcaeRecipe(Concern):
    """What is trained of an ICAE, and how rows of text become its losses. Defaults are the published ones (arXiv 2307.06945)."""

    memory_tokens: int = Field(128, ge=1)
    """Memory tokens per segment (k)."""
    segment_length: int = Field(512, ge=1)
    """Tokens of a segment at most."""
    r: int = Field(512, ge=1)
    """Rank of LoRA on q and v."""
    alpha: int = Field(32, ge=1)
    """Scale, divided by the rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """On the input of every adapter."""
    segment_checkpointing: bool = False
    """Keep of every segment its slots only, and compute it again in the backward pass."""
    context_share: float = Field(0.5, gt=0, lt=1)
    """Share of a row that is compressed to be reconstructed and continued."""
    ae_weight: float = Field(1.0, ge=0)
    """Of the reconstruction."""
    lm_weight: float = Field(1.0, ge=0)
    """Of the continuation."""
    ft_weight: float = Field(1.0, ge=0)
    """Of the answers, in batches that have any."""
    logits_chunk: int = Field(4096, ge=1)
    """Positions whose logits are held at once."""

    @model_validator(mode="after")
    def _something_is_learned(self) -> IcaeRecipe:
        if not self.ae_weight + self.lm_weight:
            raise ValueError("ae_weight and lm_weight are both 0, and a batch without answers has nothing else; give one of them a weight")
        return self


class EncoderTrainingConfig(Concern):
    """How an encoder is optimised, whatever its objective."""

    learning_rate: float = Field(4e-4, gt=0)
    """Peak of AdamW, linear decay to zero. The default is for LoRA."""
    muon_learning_rate: float | None = Field(None, gt=0)
    """Peak of Muon, which then moves the matrices of the decoder layers, and AdamW the rest; both warm up and decay together. For
    training every parameter, without clipping. None: AdamW moves all."""
    warmup_steps: int = Field(5000, ge=0)
    """Steps with a linearly rising rate."""
    steps: int = Field(ge=1)
    """Optimizer steps."""
    batches_per_step: int = Field(32, ge=1)
    """Batches per optimizer step over all workers. With one row per batch the default is the published batch."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    weight_decay: float = Field(0.0, ge=0)
    """On matrices, times the rate they are moved with."""
    gradient_clipping: float | None = Field(1.0, gt=0)
    """Largest norm of a step's gradient; null clips nothing."""
    zero_stage: Literal[2, 3] = 2
    """DeepSpeed ZeRO stage; 3 partitions the weights as well."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of weights and activations; the optimizer keeps float32 copies. `auto`: bfloat16 on a GPU, float32 on a CPU."""
    compiled: Literal["auto", "always", "never"] = "auto"
    """Compile the decoder layers, and Muon, with `torch.compile`; `auto`: on a GPU, unless `zero_stage` is 3. A minute at the start."""
    checkpoint_steps: int = Field(500, ge=1)
    """Optimizer steps between checkpoints."""
    seed: int = 0
    """Break points and dropout."""

    def compiles_on(self, device_type: str) -> bool:
        """Whether layers are compiled on a kind of device (`cuda`, `cpu`)."""
        return self.compiled == "always" or (self.compiled == "auto" and device_type == "cuda" and self.zero_stage < 3)

    @model_validator(mode="after")
    def _warm_up_ends(self) -> EncoderTrainingConfig:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} leaves nothing of {self.steps} steps; lower it or raise steps")
        return self

    @model_validator(mode="after")
    def _muon_is_not_clipped(self) -> EncoderTrainingConfig:
        if self.muon_learning_rate is not None and self.gradient_clipping is not None:
            raise ValueError(
                f"gradient_clipping {self.gradient_clipping:g} would shrink Muon's steps, whose norm is not the gradient's; set it to null"
            )
        return self

    @model_validator(mode="after")
    def _compiles_what_it_can(self) -> EncoderTrainingConfig:
        if self.compiled == "always" and self.zero_stage == 3:
            raise ValueError("compiled is always, but ZeRO-3 fetches weights within the layers; set zero_stage to 2 or compiled to auto")
        return self
