"""What LoRA on summary vectors adds: a question style that encoder training left out, FairytaleQA, and SQuAD per article.

    python -m benchmarks.adapters --model FOLDER --base BASE --validation 0.03 --held-out fill_in --cache .lloco/text \\
        --text books=data/text/gutenberg-00.jsonl.zst articles=data/text/wiki-00.jsonl.zst --drop data/text/contamination.tsv \\
        --fairytaleqa data/fairytaleqa --squad data/squad/dev-v1.1.json

Every condition has an adapter of its own, trained by the project's loop on the same questions with the same recipe and asked about
other documents; what differs is what stands before the question. All scores have intervals over documents, and so has how far the
adapter on vectors is above every other condition. Needs neither Ray nor a store.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from benchmarks import reference
from benchmarks.adapter_questions import Counts, Fold, fairytale_fold, left_out_style, squad_folds
from benchmarks.adapter_table import ARTICLES, FAIRYTALES, STYLE, Condition, Part, Table, sentence
from benchmarks.adapting import Reader
from lloco_core.compressor import AutoCompressor, load_encoder, locate_checkpoint
from lloco_core.config import AnswerConfig, FinetuneConfig
from lloco_core.encoder_training.text.tokens import TextTokenizer

if TYPE_CHECKING:
    from lloco_core.compressor import ContextEncoder

RESULT = reference.RESULT.with_name("adapters.json")
EPOCHS = {"left_out_style": 2, "fairytaleqa": 1, "squad": 3}
"""A pass over all questions about stories is 27M tokens with the full text."""
RECIPE = FinetuneConfig(learning_rate=1e-3, global_batch=128, micro_batch=128, gradient_checkpointing=False)
SHOWN = {"r", "alpha", "dropout", "learning_rate", "warmup_ratio", "epochs", "global_batch", "seed"}
STYLE_DOCUMENTS = "adapters: read as text in encoder training, never with these styles of questions; test: held out from it; styles"
WORDING = AnswerConfig(max_new_tokens=32)


class Plan(NamedTuple):
    """A part of the result."""

    name: str
    conditions: Sequence[Condition]
    documents: str
    """Where they come from."""
    folds: Callable[[], Sequence[Fold]]


def measure(options: argparse.Namespace, recipe: FinetuneConfig = RECIPE) -> Table:
    """Measure and write the result file; it is written again behind every part."""
    started, result = time.monotonic(), {}
    if options.device.startswith("cuda"):
        torch.backends.cuda.enable_cudnn_sdp(False)  # it plans every new shape on the host, and every batch has another
    encoder = load_encoder(options.model, device=options.device, dtype=options.dtype)
    readers = {
        name: Reader(one, WORDING, options.device, options.batch, options.text_batch) for name, one in _encoders(encoder, options).items()
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lloco-adapters-") as folder:
        for plan in _plans(encoder, options):
            print(plan.name, flush=True)
            of_part = recipe.model_copy(update={"epochs": EPOCHS[plan.name], "learning_rate": options.learning_rate})
            table = Part(plan.folds(), readers, of_part, Path(folder, plan.name)).table(plan.conditions)
            result[plan.name] = table | {
                "says": sentence(table),
                "documents_from": plan.documents,
                "recipe": of_part.model_dump(include=SHOWN),
            }
            print(f"  {result[plan.name]['says']}", flush=True)
            result |= reference.about("benchmarks.adapters", options, round(time.monotonic() - started, 1))
            options.out.write_text(json.dumps(result, indent=1) + "\n")
    return result


def _encoders(encoder: ContextEncoder, options: argparse.Namespace) -> dict[str, ContextEncoder]:
    if not isinstance(encoder, AutoCompressor):
        return {"trained": encoder}
    name, base = ("untrained", locate_checkpoint(options.base)) if options.base else ("random_summary", encoder.folder)
    return {"trained": encoder, name: reference.random_summary(encoder, base, options)}


def _plans(encoder: ContextEncoder, options: argparse.Namespace) -> list[Plan]:
    tokenizer, counts = TextTokenizer.of(encoder.tokenizer), Counts.at(options.scale)

    def left_out() -> list[Fold]:
        return [left_out_style([reference.open_kind(text, tokenizer, options) for text in options.text], tokenizer, counts)]

    plans = [Plan("left_out_style", STYLE, f"{STYLE_DOCUMENTS}: {', '.join(options.held_out)}", left_out)]
    if options.fairytaleqa:
        plans.append(
            Plan("fairytaleqa", FAIRYTALES, "its splits train and test", lambda: [fairytale_fold(options.fairytaleqa, encoder, counts)])
        )
    if options.squad:
        plans.append(
            Plan("squad", ARTICLES, "two halves of its articles, one after the other", lambda: squad_folds(options.squad, encoder, counts))
        )
    return plans


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = reference.checkpoint_options(__doc__)
    parser.set_defaults(held_out=["fill_in"])
    parser.add_argument("--fairytaleqa", type=Path, help="checkout of uci-soe/FairytaleQAData")
    parser.add_argument("--squad", type=Path, help="a JSON file of SQuAD 1.1")
    parser.add_argument("--learning-rate", type=float, default=RECIPE.learning_rate, help="of every adapter")
    parser.add_argument("--batch", type=int, default=512, help="questions answered at once")
    parser.add_argument("--text-batch", type=int, default=16, help="whole texts trained on at once; a divisor of 128")
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, write, and say where."""
    reference.run(measure, parse())


if __name__ == "__main__":
    main()
