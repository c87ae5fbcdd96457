"""Speed of encoder training: tokens per second of the real loop's steps, and their share of the machine's matrix ceiling.

`python benchmarks/train.py --shape llama3.2-1b` trains an AutoCompressor with random weights on random tokens: DeepSpeed, compiled
layers, gradients through the segments of a substep, questions after compression. Useful operations are those of a forward pass with the
soft prompt read once (as in `benchmarks/encode.py`), the output layer at every token of text, and twice that backward; what is
computed again to save memory does not count. The ceiling is measured in the same run. Writes `train-<card>-<shape>.json`; `--docs`
puts the figures of all such files into docs/training.md between the markers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine, shapes
from benchmarks.clocks import CardWatch
from benchmarks.useful import SUSTAINED_SECONDS, Cost, matrix_ceiling, useful_operations
from lloco_core.encoder_training.attention import use_causal_attention
from lloco_core.encoder_training.autocompressor import AutoCompressorObjective
from lloco_core.encoder_training.batch import Answer, Batch
from lloco_core.encoder_training.engine import build_engine
from lloco_core.encoder_training.loop import Progress, train_step
from lloco_core.encoder_training.module import AutoCompressorModule
from lloco_core.encoder_training.recipe import AutoCompressorConfig, EncoderTrainingConfig
from lloco_core.training.engine import join_process_group

PACKAGES = ("torch", "transformers", "deepspeed", "triton")
PROMPT_TOKENS, ANSWER_TOKENS = 16, 8
RESULTS, DOCS = machine.ROOT / "benchmarks" / "results", machine.ROOT / "docs" / "training.md"
START, END = "<!-- train:start -->", "<!-- train:end -->"


class RandomRows:
    """Random tokens, with so many questions per row."""

    def __init__(self, vocabulary: int, rows: int, row_tokens: int, questions: int) -> None:
        self._vocabulary, self._shape, self._questions = vocabulary, (rows, row_tokens), questions
        self._generator = torch.Generator().manual_seed(17)

    def __iter__(self) -> RandomRows:
        return self

    def __next__(self) -> Batch:
        text_BT = self._tokens(self._shape)
        places = [(row, place) for row in range(self._shape[0]) for place in range(self._questions)]
        every = self._shape[1] // max(1, self._questions)
        answers = [Answer(row, place * every + 1, self._tokens((PROMPT_TOKENS,)), self._tokens((ANSWER_TOKENS,))) for row, place in places]
        return Batch(text_BT, answers)

    def _tokens(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randint(self._vocabulary, shape, generator=self._generator)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the result file."""
    options = _options(arguments)
    if options.docs:
        DOCS.write_text(machine.between(DOCS.read_text(), START, END, docs_block()))
        return
    device = torch.device(options.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    before = matrix_ceiling(options.device, dtype)
    row = _measure(options, device, dtype)
    ceiling = max(before, matrix_ceiling(options.device, dtype))
    sustained = matrix_ceiling(options.device, dtype, SUSTAINED_SECONDS)
    row |= {"share_of_ceiling": row["useful_tflops"] / ceiling, "share_of_sustained_ceiling": row["useful_tflops"] / sustained}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine.cpu_name()
    result = {
        "command": _command(arguments if arguments is not None else sys.argv[1:]),
        "commit": options.commit or machine.commit(),
        "hardware": {"name": name, "cores": len(os.sched_getaffinity(0))},
        "versions": machine.versions(PACKAGES),
        "shape": options.shape,
        "ceiling_tflops": ceiling,
        "ceiling_sustained_tflops": sustained,
        "rows": [row],
    }
    card = name.removeprefix("NVIDIA ").lower() if device.type == "cuda" else f"cpu-{result['hardware']['cores']}-cores"
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"train-{card}-{options.shape}{options.suffix}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(row, indent=2))
    print(path)


def docs_block() -> str:
    """The table of all result files."""
    lines = [
        "| shape | parameters | rows x tokens | tokens/s | useful TFLOP/s | of the rested matrix ceiling | of the sustained one |",
        "|---|---|---|---|---|---|---|",
    ]
    cards = set()
    for path in sorted(RESULTS.glob("train-*.json")):
        result = json.loads(path.read_text())
        versions = result["versions"]
        cards.add(f"{result['hardware']['name']}, torch {versions['torch']}, DeepSpeed {versions['deepspeed']} (`{path.name}`)")
        lines += [
            f"| {result['shape']} | {row['parameters'] / 1e6:,.0f}M | {row['rows']} x {row['row_tokens']:,} | {row['tokens_per_s']:,.0f} "
            f"| {row['useful_tflops']:.0f} | {100 * row['share_of_ceiling']:.1f} % | {100 * row['share_of_sustained_ceiling']:.1f} % |"
            for row in result["rows"]
        ]
    return "\n".join([*lines, "", "Measured on " + "; ".join(sorted(cards)) + "."])


def _command(arguments: list[str]) -> str:
    """What to type to measure again, without the folders of this machine."""
    own = {"--out", "--commit"}
    kept = [word for at, word in enumerate(arguments) if word not in own and (at == 0 or arguments[at - 1] not in own)]
    return " ".join(["python benchmarks/train.py", *kept])


def _measure(options: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    weights = shapes.build_weights(options.shape, options.device, dtype, 17)
    model = weights.model
    config = AutoCompressorConfig(
        summary_length=len(weights.summary_SH),
        segment_multiple=options.segment_multiple,
        segment_checkpointing=options.checkpointing,
        logits_chunk=options.logits_chunk,
    )
    recipe = EncoderTrainingConfig(
        steps=10_000, warmup_steps=10, batches_per_step=1, zero_stage=options.zero_stage, compiled=options.compiled
    )
    join_process_group(device)
    use_causal_attention(model)
    module = AutoCompressorModule(model.requires_grad_(True), weights.summary_SH)
    engine = build_engine(module.to(device), recipe, device)
    objective, progress = AutoCompressorObjective(config), Progress()
    batches = iter(RandomRows(model.config.vocab_size, options.rows, options.row_tokens, options.questions))
    started = time.perf_counter()
    for _ in range(options.warmup_steps):
        progress = train_step(engine, objective, batches, 1, 17, progress)
    warmup = time.perf_counter() - started
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    first, started = progress, time.perf_counter()
    with CardWatch(options.device) if device.type == "cuda" else nullcontext() as watch:
        for _ in range(options.steps):
            progress = train_step(engine, objective, batches, 1, 17, progress)  # reads its loss, so it ends with the card's work
    seconds = time.perf_counter() - started
    n_tokens = progress.tokens - first.tokens
    segment = config.substep_tokens // config.segments
    cost, head = Cost.of(model), 2 * model.config.hidden_size * model.config.vocab_size
    forward = useful_operations([options.row_tokens], cost, segment, config.summary_length) + head * options.row_tokens
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "rows": options.rows,
        "row_tokens": options.row_tokens,
        "questions_per_row": options.questions,
        "segment_multiple": options.segment_multiple,
        "segment_checkpointing": options.checkpointing,
        "zero_stage": options.zero_stage,
        "compiled": recipe.compiles_on(device.type),
        "steps": options.steps,
        "warmup_seconds": warmup,
        "seconds": seconds,
        "tokens_per_s": n_tokens / seconds,
        "useful_tflops": 3 * forward * (n_tokens / options.row_tokens) / seconds / 1e12,
        "peak_memory_gb": torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None,
        "card": watch.seen if watch else None,
    }


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", default="llama3.2-1b", choices=shapes.NAMES)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, default=8, help="per batch, which is one step")
    parser.add_argument("--row-tokens", type=int, default=6144)
    parser.add_argument("--questions", type=int, default=4, help="per row")
    parser.add_argument("--segment-multiple", type=int, default=128)
    parser.add_argument("--logits-chunk", type=int, default=4096)
    parser.add_argument("--checkpointing", action="store_true", help="segment checkpointing")
    parser.add_argument("--zero-stage", type=int, default=2, choices=(2, 3))
    parser.add_argument("--compiled", default="auto", choices=("auto", "always", "never"))
    parser.add_argument("--warmup-steps", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--suffix", default="", help="of the result file's name")
    parser.add_argument("--commit", default=None)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--docs", action="store_true", help="only bring the table in docs/training.md up to date")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
