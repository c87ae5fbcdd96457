"""Pretrain a small LLaMA from text on one device.

    python examples/pretrain_base/pretrain.py --out OUT [--config base-30m.yaml]

Tokenizer and token cache are made where they are missing. `--out` receives `tokenizer/`, `curve.jsonl`, `curve.svg`, `checkpoint.pt` to go
on from, and `model/` in the Hugging Face layout, the tokenizer in it. The same configuration, text, and device give the same run.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml
from bpe import train_tokenizer
from trainer import Pretraining, Trainer
from transformers import AutoTokenizer, LlamaForCausalLM

from lloco_core.encoder_training.text.cache import Split, TokenCache
from lloco_core.encoder_training.text.config import TextConfig
from lloco_core.encoder_training.text.loader import TextLoader
from lloco_core.encoder_training.text.source import TextSource
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer

TOKENIZER_DOCUMENTS = 4000
"""Documents that the merges are learned from."""


class Run:
    """A run in its folder."""

    def __init__(self, config: Pretraining, out: Path, trainer: Trainer) -> None:
        self.config, self.out, self.trainer = config, out, trainer
        self.tokenizer = TextTokenizer.of(AutoTokenizer.from_pretrained(out / "tokenizer"))
        self.cache: TokenCache = open_token_cache(self._text(0, "train"), self.tokenizer)
        self.position: dict[str, Any] | None = None
        """Of the text within the stage."""
        self.held_out = list(islice(self._batches(0, "validation"), config.validation_batches))

    def train(self, limit_seconds: float) -> None:
        """All steps that are left, or as many as the time allows."""
        started, before = time.monotonic(), self.trainer.seconds
        first = 0
        for number, stage in enumerate(self.config.stages):
            last = first + stage.steps
            pin = self.trainer.device.type == "cuda"
            with TextLoader.of(self._source(number), self._text(number, "train"), pin=pin) as loader:
                if self.position and first < self.trainer.step < last:
                    loader.load_state_dict(self.position)
                while first <= self.trainer.step < last:
                    rows = [next(loader).text_BT for _ in range(self.config.micro_batches)]
                    loss = self.trainer.train_step(rows)
                    self.trainer.seconds = before + time.monotonic() - started
                    out_of_time = time.monotonic() - started > limit_seconds
                    self._report(loss, out_of_time)
                    if out_of_time or self.trainer.step % self.config.checkpoint_every == 0:
                        self.position = loader.state_dict()
                        if out_of_time:
                            return
                        self.save_checkpoint()
            first = last

    def save_checkpoint(self) -> None:
        """Write what another start goes on from."""
        state = {"config": self.config.model_dump_json(), "position": self.position, **self.trainer.state()}
        torch.save(state, self.out / "checkpoint.partial")
        (self.out / "checkpoint.partial").replace(self.out / "checkpoint.pt")

    def export(self) -> None:
        """Write what a reader needs."""
        model = LlamaForCausalLM(self.trainer.model.config).to(torch.bfloat16)
        model.load_state_dict(self.trainer.model.state_dict())
        model.save_pretrained(self.out / "model", max_shard_size="15MB")
        shutil.copytree(self.out / "tokenizer", self.out / "model", dirs_exist_ok=True)
        plot(self.out / "curve.jsonl", self.out / "curve.svg")

    def resume(self) -> None:
        """Go on with the checkpoint in the folder, if there is one; steps behind it are taken again."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.trainer.device, weights_only=True)
        if state["config"] != self.config.model_dump_json():
            raise SystemExit(f"{path} was written with another configuration; use another --out, or delete it")
        self.trainer.resume(state)
        self.position = state["position"]
        curve = self.out / "curve.jsonl"
        curve.write_text("".join(line for line in curve.open() if json.loads(line)["step"] <= self.trainer.step))

    def _report(self, loss: torch.Tensor, last: bool) -> None:
        trainer, config = self.trainer, self.config
        last = last or trainer.step == config.n_steps
        validated = last or trainer.step % config.validate_every == 0
        if not validated and trainer.step % config.log_every:
            return
        line = {"step": trainer.step, "tokens": trainer.step * config.micro_batches * config.micro_tokens, "loss": round(float(loss), 4)}
        line |= {"rate": round(config.rate_at(trainer.step - 1), 4), "seconds": round(trainer.seconds, 1)}
        if validated:
            line["validation_loss"] = round(trainer.validate(self.held_out), 4)
        with (self.out / "curve.jsonl").open("a") as curve:
            curve.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def _text(self, number: int, split: Split) -> TextConfig:
        """A row is one token longer than the model sees: its last token is only predicted. Held-out rows are text alone."""
        stage = self.config.stages[number]
        row_tokens = stage.row_tokens + 1
        with_answers = stage.with_questions if split == "train" else 0
        rows = {"kind": "packed", "row_tokens": row_tokens, "with_answers": with_answers, "written_out": 1}
        batch_tokens = max(1, self.config.micro_tokens // (row_tokens - 1)) * row_tokens
        return TextConfig(**self.config.text, rows=(rows,), batch_tokens=batch_tokens, seed=self.config.seed + number)

    def _source(self, stage: int, split: Split = "train") -> TextSource:
        return TextSource(self._text(stage, split), self.cache, self.tokenizer, split)

    def _batches(self, stage: int, split: Split) -> Any:
        with TextLoader(self._source(stage, split)) as loader:
            yield from (batch.text_BT for batch in loader)


def plot(curve: Path, image: Path) -> None:
    """Loss over tokens, in training and on held-out text."""
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in curve.read_text().splitlines()]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="million tokens", ylabel="loss, nats per token")
    for name in ("loss", "validation_loss"):
        points = [(line["tokens"] / 1e6, line[name]) for line in lines if name in line]
        axes.plot(*zip(*points, strict=True), label=name.replace("_", " "))
    axes.legend()
    figure.savefig(image, metadata={"Date": None})


def main(arguments: list[str] | None = None) -> None:
    """Train, or go on with what lies in `--out`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("base-30m.yaml"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--limit-seconds", type=float, default=math.inf, help="stop then, with a checkpoint to go on from")
    parser.add_argument("--plain", action="store_true", help="without torch.compile")
    options = parser.parse_args(arguments)
    config = Pretraining(**yaml.safe_load(options.config.read_text()))
    if not (options.out / "tokenizer").exists():
        text = TextConfig(**config.text)
        train_tokenizer(text, config.shape["vocab_size"], options.out / "tokenizer", TOKENIZER_DOCUMENTS)
    run = Run(config, options.out, Trainer(config, torch.device(options.device), compiled=not options.plain))
    run.resume()
    run.train(options.limit_seconds)
    run.save_checkpoint()
    run.export()


if __name__ == "__main__":
    main()
