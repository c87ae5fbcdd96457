"""One step of pretraining after another: model, optimizers, rates, and the state that a run goes on from.

Muon (torch.optim.Muon) moves the matrices of the layers, AdamW embedding and norms. Weights are float32 under bfloat16 autocast on a GPU;
every decoder layer is one compiled graph. Shape suffixes: B rows, T tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from lloco_core.config import Concern


class Stage(Concern):
    """Steps with rows of one length."""

    row_tokens: int = Field(ge=2)
    steps: int = Field(ge=1)
    with_questions: float = Field(0, ge=0, le=1)
    """Share of the rows that end with questions about their text and the answers, by the rules of `text.curriculum`."""


class Pretraining(Concern):
    """What `base-30m.yaml` sets."""

    seed: int
    text: dict[str, Any]
    """`TextConfig` without rows and batches."""
    shape: dict[str, Any]
    """Arguments of `LlamaConfig`."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    step_tokens: int
    """Tokens of one optimizer step; rounded down to whole micro batches."""
    micro_tokens: int
    """Tokens of one forward pass; rounded down to whole rows."""
    muon: dict[str, Any]
    adamw: dict[str, Any]
    warmup_steps: int
    decay_from: float = Field(ge=0, lt=1)
    final_rate: float = Field(ge=0, le=1)
    clip: float
    log_every: int
    validate_every: int
    checkpoint_every: int = Field(ge=1)
    validation_batches: int

    @property
    def n_steps(self) -> int:
        """Optimizer steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def micro_batches(self) -> int:
        """Forward passes per step."""
        return max(1, self.step_tokens // self.micro_tokens)

    def rate_at(self, step: int) -> float:
        """Factor on the learning rates."""
        falling = max(0.0, (step / self.n_steps - self.decay_from) / (1 - self.decay_from))
        return min(1.0, (step + 1) / max(1, self.warmup_steps)) * (1 - (1 - self.final_rate) * min(1.0, falling))


class Trainer:
    """The model, and where the run is."""

    def __init__(self, config: Pretraining, device: torch.device, compiled: bool) -> None:
        self.config, self.device = config, device
        self.model = build_model(config.shape, config.seed).to(device)
        self._optimizers = build_optimizers(self.model, config)
        self._rates = [optimizer.param_groups[0]["lr"] for optimizer in self._optimizers]
        self.step, self.seconds = 0, 0.0
        self._loss = torch.compile(token_loss, dynamic=False) if compiled else token_loss
        for layer in self.model.model.layers if compiled else ():
            layer.compile(dynamic=False)

    def loss(self, rows_BT: torch.Tensor) -> torch.Tensor:
        """Mean loss of every token of the rows but their first."""
        rows_BT = rows_BT.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            hidden_BTH = self.model.model(rows_BT[:, :-1], use_cache=False).last_hidden_state
            return self._loss(hidden_BTH, self.model.lm_head.weight, rows_BT[:, 1:])

    def train_step(self, micro_batches: list[torch.Tensor]) -> torch.Tensor:
        """One step of the optimizers; the mean loss stays on the device."""
        rate = self.config.rate_at(self.step)
        for optimizer, full in zip(self._optimizers, self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * rate
        total = torch.zeros((), device=self.device)
        for rows_BT in micro_batches:
            loss = self.loss(rows_BT) / len(micro_batches)
            loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip, foreach=True)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return total

    @torch.no_grad()
    def validate(self, batches: list[torch.Tensor]) -> float:
        """Mean loss of held-out rows."""
        return float(torch.stack([self.loss(rows_BT) for rows_BT in batches]).mean())

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        optimizers = [optimizer.state_dict() for optimizer in self._optimizers]
        return {"model": self.model.state_dict(), "optimizers": optimizers, "step": self.step, "seconds": self.seconds}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]


def build_model(shape: dict[str, Any], seed: int) -> LlamaForCausalLM:
    """Normal weights of standard deviation 0.02; projections that write into the residual are smaller with depth."""
    torch.manual_seed(seed)
    config = LlamaConfig(**shape, attn_implementation="sdpa")
    model = LlamaForCausalLM(config).float()
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            nn.init.normal_(weight, std=0.02 / math.sqrt(2 * config.num_hidden_layers))
    return model


def build_optimizers(model: LlamaForCausalLM, config: Pretraining) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest."""
    matrices = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    of_layers = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in of_layers]
    return [torch.optim.Muon(matrices, **config.muon), torch.optim.AdamW(others, **config.adamw)]


def token_loss(hidden_BTH: torch.Tensor, head_VH: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, in float32."""
    logits_NV = F.linear(hidden_BTH.flatten(0, 1), head_VH.to(hidden_BTH.dtype))
    return F.cross_entropy(logits_NV.float(), targets_BT.flatten())
