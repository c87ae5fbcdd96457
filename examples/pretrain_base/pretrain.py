"""Pretrain a small LLaMA from token files on one device: `python examples/pretrain_base/pretrain.py --help`.

Muon (torch.optim.Muon) on the matrices of the layers, AdamW on embedding and norms; float32 weights under bfloat16 autocast;
one compiled graph per decoder layer. The learning rates are constant, then fall linearly. Everything random comes from the
configuration's seed. Written into `--out`: `curve.jsonl`, `checkpoint.pt` (to go on from), and the model in the Hugging Face layout.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

LOG_EVERY = 10


class Strict(BaseModel):
    """A misspelt name is an error."""

    model_config = ConfigDict(extra="forbid")


class Stage(Strict):
    """Rows of one length."""

    length: int = Field(ge=2)
    share: float = Field(gt=0, le=1)


class Pretraining(Strict):
    """What `base-30m.yaml` sets."""

    seed: int
    shape: dict[str, Any]
    """Arguments of `LlamaConfig`."""
    tokens: int
    stages: list[Stage]
    step_tokens: int
    """Tokens of one optimizer step."""
    micro_tokens: int
    """Tokens of one forward pass."""
    muon: dict[str, Any]
    adamw: dict[str, Any]
    warmup_steps: int
    decay_from: float
    final_rate: float
    clip: float
    validate_every: int
    validation_tokens: int

    @property
    def n_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.tokens // self.step_tokens

    def length_at(self, step: int) -> int:
        """Row length of a step."""
        done, total = 0.0, sum(stage.share for stage in self.stages)
        for stage in self.stages:
            done += stage.share / total
            if step < done * self.n_steps:
                return stage.length
        return self.stages[-1].length

    def rate_at(self, step: int) -> float:
        """Factor on the learning rates."""
        falling = max(0.0, (step / self.n_steps - self.decay_from) / (1 - self.decay_from))
        return min(1.0, (step + 1) / max(1, self.warmup_steps)) * (1 - (1 - self.final_rate) * min(1.0, falling))


class Rows:
    """Rows of consecutive tokens, every row once per pass, in an order that the seed and the step alone decide."""

    def __init__(self, tokens: np.ndarray, seed: int) -> None:
        self._tokens, self._seed = tokens, seed

    def batch(self, first_token: int, n_tokens: int, length: int) -> torch.Tensor:
        """The rows [n_tokens / length, length + 1] of a step that begins after `first_token` tokens of training."""
        per_pass = (len(self._tokens) - 1) // length
        if per_pass == 0:
            raise SystemExit(f"{len(self._tokens):,} tokens are less than one row of {length}; give more text")
        numbers = range(first_token // length, first_token // length + n_tokens // length)
        rows = [self._order(number // per_pass, per_pass)[number % per_pass] for number in numbers]
        return torch.from_numpy(np.stack([self._tokens[row * length : (row + 1) * length + 1] for row in rows]).astype(np.int64))

    def _order(self, number: int, per_pass: int) -> np.ndarray:
        key = (number, per_pass)
        if getattr(self, "_key", None) != key:
            self._key, self._permutation = key, np.random.default_rng([self._seed, *key]).permutation(per_pass)
        return self._permutation


def build_model(shape: dict[str, Any], seed: int, device: torch.device) -> LlamaForCausalLM:
    """Normal weights of standard deviation 0.02; the projections that write into the residual are smaller with depth."""
    torch.manual_seed(seed)
    config = LlamaConfig(**shape, attn_implementation="sdpa", use_cache=False)
    model = LlamaForCausalLM(config).float()
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            nn.init.normal_(weight, std=0.02 / math.sqrt(2 * config.num_hidden_layers))
    return model.to(device)


def optimizers(model: LlamaForCausalLM, config: Pretraining) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the rest."""
    matrices = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    of_layers = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in of_layers]
    fused = next(model.parameters()).is_cuda
    return [torch.optim.Muon(matrices, **config.muon), torch.optim.AdamW(others, **config.adamw, fused=fused)]


def token_loss(hidden_BTH: torch.Tensor, head_VH: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next tokens, in float32."""
    logits = F.linear(hidden_BTH.flatten(0, 1), head_VH.to(hidden_BTH.dtype))
    return F.cross_entropy(logits.float(), targets_BT.flatten())


class Trainer:
    """Model, optimizers, and where the run is."""

    def __init__(self, config: Pretraining, device: torch.device, compiled: bool) -> None:
        self.config, self.device = config, device
        self.model = build_model(config.shape, config.seed, device)
        self.optimizers = optimizers(self.model, config)
        self.rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.step, self.seconds = 0, 0.0
        self.loss_of = torch.compile(token_loss, dynamic=False) if compiled else token_loss
        if compiled:
            for layer in self.model.model.layers:
                layer.compile(dynamic=False)

    def forward(self, rows_BT: torch.Tensor) -> torch.Tensor:
        """Mean loss of rows [B, T + 1]."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            hidden = self.model.model(rows_BT[:, :-1], use_cache=False).last_hidden_state
            return self.loss_of(hidden, self.model.lm_head.weight, rows_BT[:, 1:])

    def train_step(self, rows_BT: torch.Tensor) -> torch.Tensor:
        """One optimizer step over the rows [B, T + 1]; the mean loss stays on the device."""
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * self.config.rate_at(self.step)
        parts = rows_BT.split(max(1, self.config.micro_tokens // (rows_BT.shape[1] - 1)))
        total = torch.zeros((), device=self.device)
        for part in parts:
            loss = self.forward(part) * (len(part) / len(rows_BT))
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip, foreach=True)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return total

    @torch.no_grad()
    def validate(self, tokens: np.ndarray) -> float:
        """Mean loss of whole micro batches of held-out text, in rows of the first stage's length."""
        length = self.config.stages[0].length
        per_batch = max(1, self.config.micro_tokens // length)
        n_batches = max(1, min(self.config.validation_tokens, len(tokens) - 1) // (length * per_batch))
        starts = np.arange(n_batches * per_batch) * length
        rows = torch.from_numpy(np.stack([tokens[start : start + length + 1] for start in starts]).astype(np.int64))
        return float(torch.stack([self.forward(part.to(self.device)) for part in rows.split(per_batch)]).mean())

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {
            "config": self.config.model_dump(),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where a run with the same configuration stopped."""
        if state["config"] != self.config.model_dump():
            raise SystemExit("checkpoint.pt was written with another configuration; use another --out, or delete it")
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]


def batches(trainer: Trainer, tokens: np.ndarray) -> Iterator[torch.Tensor]:
    """The rows of the steps that are left, made one step ahead in a thread."""
    config, rows = trainer.config, Rows(tokens, trainer.config.seed)

    def make(step: int) -> torch.Tensor:
        batch = rows.batch(step * config.step_tokens, config.step_tokens, config.length_at(step))
        return batch.pin_memory() if trainer.device.type == "cuda" else batch

    with ThreadPoolExecutor(1) as ahead:
        waiting = ahead.submit(make, trainer.step)
        for step in range(trainer.step + 1, config.n_steps + 1):
            ready, waiting = waiting.result(), ahead.submit(make, min(step, config.n_steps - 1))
            yield ready.to(trainer.device, non_blocking=True)


def train(trainer: Trainer, text: np.ndarray, held_out: np.ndarray, out: Path, limit_seconds: float) -> None:
    """Train until the configured tokens are done or the time is over; the curve and a checkpoint are written either way."""
    config, started, before = trainer.config, time.monotonic(), trainer.seconds
    with (out / "curve.jsonl").open("a") as curve:
        for rows in batches(trainer, text):
            loss = trainer.train_step(rows)
            trainer.seconds = before + time.monotonic() - started
            last = trainer.step == config.n_steps or trainer.seconds - before > limit_seconds
            validated = trainer.step % config.validate_every == 0 or last
            if trainer.step % LOG_EVERY == 0 or validated:
                line = {"step": trainer.step, "tokens": trainer.step * config.step_tokens, "loss": round(float(loss), 4)}
                line |= {"seconds": round(trainer.seconds, 1), "rate": round(config.rate_at(trainer.step - 1), 4)}
                line |= {"validation_loss": round(trainer.validate(held_out), 4)} if validated else {}
                print(json.dumps(line), file=curve, flush=True)
                print(json.dumps(line), flush=True)
            if last:
                break
    save(trainer, out)


def save(trainer: Trainer, out: Path) -> None:
    """`checkpoint.pt` whole or not at all, and the model in bfloat16 in files of at most 15 MB."""
    torch.save(trainer.state(), out / "checkpoint.partial")
    (out / "checkpoint.partial").replace(out / "checkpoint.pt")
    model = LlamaForCausalLM(trainer.model.config).to(torch.bfloat16)
    model.load_state_dict(trainer.model.state_dict())
    model.save_pretrained(out / "model", max_shard_size="15MB")


def main() -> None:
    """Train, or go on with what lies in `--out`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("base-30m.yaml"))
    parser.add_argument("--tokens", type=Path, required=True, help="folder with train.bin and validation.bin: 16-bit token numbers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="top-level values of the configuration")
    parser.add_argument("--limit-seconds", type=float, default=math.inf, help="stop there and write a checkpoint")
    parser.add_argument("--plain", action="store_true", help="without torch.compile")
    options = parser.parse_args()
    changed = {name: yaml.safe_load(value) for name, _, value in (item.partition("=") for item in options.set)}
    config = Pretraining(**yaml.safe_load(options.config.read_text()) | changed)
    trainer = Trainer(config, torch.device(options.device), compiled=not options.plain)
    options.out.mkdir(parents=True, exist_ok=True)
    if (checkpoint := options.out / "checkpoint.pt").exists():
        trainer.resume(torch.load(checkpoint, map_location=trainer.device, weights_only=True))
    text, held_out = (np.memmap(options.tokens / f"{name}.bin", np.uint16, "r") for name in ("train", "validation"))
    train(trainer, text, held_out, options.out, options.limit_seconds)


if __name__ == "__main__":
    main()
