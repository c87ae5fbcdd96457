"""What a checkpoint answers from vectors: the table of the reference checkpoint, for it and what it is compared with.

    python -m benchmarks.reference --text books=data/text/gutenberg-00.jsonl.zst articles=data/text/wiki-00.jsonl.zst --cache .lloco/text

Needles (length x depth, zero-shot), inserted facts of known words and of rare strings, literal questions made by rule, and perplexity
behind compressed segments, all on documents that were never trained on; the same for an untrained encoder of its `--base` and, with
`--icae`, for an ICAE. What earlier results have measured on the same text can be taken over (`--earlier`). Needs neither Ray nor a store.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.earlier import ENCODERS, NAMES, check_windows, read_earlier, table_of, with_base
from benchmarks.haystacks import haystacks
from benchmarks.machine import provenance
from benchmarks.reference_report import RESULTS, block
from lloco_core.compressor import AutoCompressor, ContextEncoder, load_encoder, locate_checkpoint
from lloco_core.compressor.checkpoint import load_base
from lloco_core.encoder_training.text.config import LITERAL_STYLES, CurriculumConfig, TextConfig
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.encoder_training.validation import Validation
from lloco_core.errors import LlocoError
from lloco_core.evaluation.asking import answer_cases
from lloco_core.evaluation.needle import DEPTHS, build_cases
from lloco_core.evaluation.needle_table import needle_table, plot_needles
from lloco_core.evaluation.rule_questions import TABLES, build_rule_cases, measure_rule_questions, styles_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lloco_core.encoder_training.text.cache import TokenCache
    from lloco_core.evaluation.needle import NeedleCase
    from lloco_core.evaluation.rule_questions import RuleCase

RESULT = RESULTS / "reference.json"
LENGTHS = (1500, 3000, 6000, 12_000, 18_000, 24_000, 32_000)
HAYSTACKS, DOCUMENTS, WINDOWS = 6, 48, 96
"""Of every kind of text, at scale 1."""
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "peft", "deepspeed")
PATHS = frozenset({"model", "base", "icae", "drop", "cache", "out", "fairytaleqa", "squad"})
"""Options whose folders a result file does not name."""
Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured of every kind of text."""

    lengths: tuple[int, ...]
    depths: tuple[float, ...]
    n_haystacks: int
    n_documents: int
    n_windows: int

    @classmethod
    def at(cls, scale: float, lengths: Sequence[int] = (), windows: int | None = None) -> Size:
        """Everything at 1; below, fewer documents and windows, fewer depths between 0 and 1, and only the shorter needles, unless told."""
        n_lengths, n_depths = max(2, round(scale * len(LENGTHS))), max(3, round(scale * len(DEPTHS)))
        places = np.linspace(0, len(DEPTHS) - 1, min(n_depths, len(DEPTHS))).round().astype(int)
        n_haystacks, n_documents, n_windows = (max(2, round(scale * count)) for count in (HAYSTACKS, DOCUMENTS, WINDOWS))
        depths = tuple(DEPTHS[place] for place in places)
        return cls(tuple(lengths) or LENGTHS[:n_lengths], depths, n_haystacks, n_documents, windows or n_windows)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of text."""

    name: str
    config: TextConfig
    cache: TokenCache


@dataclass(frozen=True, slots=True)
class Measuring:
    """Everything about one encoder."""

    encoder: ContextEncoder
    base: PreTrainedModel | None
    size: Size
    options: argparse.Namespace
    earlier_base: Table | None = None
    """Result that has the perplexities of the language model, where that is not at hand."""

    def table(self, plot: Path | None = None) -> Table:
        """Over all kinds, and `by_kind`; perplexity is of the first kind."""
        tokenizer, batch = TextTokenizer.of(self.encoder.tokenizer), self.options.batch
        kinds = [open_kind(text, tokenizer, self.options) for text in self.options.text]
        validations = {kind.name: self._validation(kind, tokenizer) for kind in kinds}
        needles = {kind.name: self._needles(kind, tokenizer) for kind in kinds}
        found = self._timed("needles", lambda: answer_cases(self.encoder, _all(needles), kinds[0].config.curriculum.answer, batch))
        asked = {kind.name: self._questions(kind, tokenizer) for kind in kinds}
        answer = kinds[0].config.curriculum.answer
        rules = self._timed("questions", lambda: measure_rule_questions(self.encoder, _all(asked), answer, batch=batch))
        perplexities = self._timed(
            "perplexity", lambda: {name: self._perplexity(name, validation) for name, validation in validations.items()}
        )
        if plot is not None:
            plot_needles(_all(needles), found, plot, "needles found from vectors")
        return {
            "needle": needle_table(_all(needles), found)
            | {"by_kind": {name: needle_table(cases, found) for name, cases in needles.items()}},
            **rules,
            "perplexity": perplexities[kinds[0].name] | {"text_kind": kinds[0].name, "by_kind": perplexities},
            "segment_length": self.encoder.segment_length,
            "summary_length": self.encoder.summary_length,
            "fingerprint": self.encoder.fingerprint,
        }

    def _needles(self, kind: Kind, tokenizer: TextTokenizer) -> list[NeedleCase]:
        longest = max(self.size.lengths)
        texts = haystacks(kind.cache, kind.config, tokenizer, self.size.n_haystacks, longest)
        named = {f"{kind.name}/{name}": text for name, text in texts.items()}
        return build_cases(named, self.encoder.tokenize, self.size.lengths, self.size.depths)

    def _questions(self, kind: Kind, tokenizer: TextTokenizer) -> list[RuleCase]:
        arguments = (kind.cache, kind.config, tokenizer)
        tables = [table for table in TABLES if styles_of(table, kind.config.curriculum)]
        return [case for table in tables for case in build_rule_cases(*arguments, table, self.size.n_documents)]

    def _validation(self, kind: Kind, tokenizer: TextTokenizer) -> Validation:
        length, batch = self.encoder.segment_length, self.options.batch
        validation = Validation(kind.cache, kind.config, tokenizer, length, self.size.n_windows, self.base, batch=batch)
        if self.earlier_base:
            check_windows(validation.windows, kind.name, self.earlier_base)
        return validation

    def _perplexity(self, kind: str, validation: Validation) -> Table:
        measured = validation.measure(self.encoder)
        return with_base(measured, kind, self.earlier_base) if self.earlier_base else measured

    def _timed(self, name: str, work: Any) -> Any:
        started = time.monotonic()
        found = work()
        print(f"  {name}: {time.monotonic() - started:.0f} s", flush=True)
        return found


def _all(by_kind: dict[str, list[Any]]) -> list[Any]:
    return [case for cases in by_kind.values() for case in cases]


def open_kind(text: str, tokenizer: TextTokenizer, options: argparse.Namespace) -> Kind:
    """One `kind=file[,file]` of the command line."""
    name, _, files = text.rpartition("=")
    paths = tuple(files.split(","))
    config = TextConfig(
        files=paths,
        drop=options.drop,
        cache=str(options.cache),
        validation=options.validation,
        seed=options.seed,
        processes=options.processes,
        curriculum=CurriculumConfig(held_out_styles=options.held_out),
    )
    return Kind(name or Path(paths[0]).name.partition(".")[0], config, open_token_cache(config, tokenizer))


def random_summary(encoder: AutoCompressor, base: Path, options: argparse.Namespace) -> AutoCompressor:
    """A random summary embedding, with the spread of the token embeddings, on a language model."""
    model = load_base(base, encoder.summary_SH.dtype, options.device)
    model.config.update({"accumulate_summary": encoder.accumulate, "summary_length": encoder.summary_length})
    generator = torch.Generator().manual_seed(options.seed)
    noise_SH = torch.randn(encoder.summary_length, encoder.hidden_size, generator=generator)
    spread = model.get_input_embeddings().weight.float().std().item()
    return AutoCompressor(model, (noise_SH * spread).to(encoder.summary_SH), encoder.folder, segment_length=encoder.segment_length)


def measure(options: argparse.Namespace) -> Table:
    """Measure and write the result file, the checkpoint's own table at its top; it is written again behind every encoder."""
    started, size = time.monotonic(), Size.at(options.scale, options.lengths, options.windows)
    load = {"device": options.device, "dtype": options.dtype}
    encoder = load_encoder(options.model, **load)
    base = load_base(locate_checkpoint(options.base), encoder.summary_SH.dtype, options.device) if options.base else None
    earlier = read_earlier(dict(options.earlier))
    print(f"{options.model}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = Measuring(encoder, base, size, options, earlier.get("base")).table(options.out.with_suffix(".svg"))
    result |= {name: table_of(name, earlier[name]) for name in ENCODERS if name in earlier}
    _write(result, options, started)
    if isinstance(encoder, AutoCompressor) and options.base and "untrained" not in earlier:
        print("untrained encoder", flush=True)
        untrained = random_summary(encoder, locate_checkpoint(options.base), options)
        result["untrained"] = Measuring(untrained, base, size, options).table()
        result["untrained"].pop("fingerprint")  # it would be that of the trained files
        _write(result, options, started)
    if options.icae:
        print(f"{options.icae}", flush=True)
        result["icae"] = Measuring(load_encoder(options.icae, **load), base, size, options).table()
        _write(result, options, started)
    return result


def _write(result: Table, options: argparse.Namespace, started: float) -> None:
    result |= about("benchmarks.reference", options, round(time.monotonic() - started, 1))
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def about(module: str, options: argparse.Namespace, seconds: float) -> Table:
    """What a result file says about its command and machine."""
    values = {name.replace("_", "-"): _named(name, value) for name, value in vars(options).items() if value not in (None, ())}
    given = " ".join(f"--{name} {' '.join(map(str, value))}" for name, value in values.items())
    found = provenance(f"python -m {module} {given}", PACKAGES)
    if options.device.startswith("cuda"):
        found["hardware"]["gpu"] = torch.cuda.get_device_name()
    return found | {"seconds": seconds, "scale": options.scale, "dtype": options.dtype, "model": _name(options.model)}


def _named(option: str, value: Any) -> list[Any]:
    """A value without the folders of this machine."""
    if option == "text":
        return [f"{kind}={','.join(map(_name, files.split(',')))}" for kind, _, files in (text.rpartition("=") for text in value)]
    if option in ("held_out", "lengths"):
        return value
    if option == "earlier":
        return [f"{name}={path.name}" for name, path in value]
    return [_name(value)] if option in PATHS else [value]


def _name(path: Any) -> str:
    return Path(str(path)).name


def _named_file(given: str) -> tuple[str, Path]:
    name, _, path = given.partition("=")
    if name not in NAMES or not path:
        raise argparse.ArgumentTypeError(f"{given!r} is not NAME=FILE with a name of {', '.join(NAMES)}")
    return name, Path(path)


def checkpoint_options(description: str | None) -> argparse.ArgumentParser:
    """What every command that measures a checkpoint on held-out text is told."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--model", default="reference", help="the packaged `reference`, a folder, or a hub name")
    parser.add_argument("--base", help="folder of the language model it came from; an untrained encoder needs it")
    parser.add_argument("--text", nargs="+", required=True, help="kind=file[,file]; the first kind is that of the perplexity table")
    parser.add_argument("--drop", help="ids to leave out, as in TextConfig.drop")
    parser.add_argument("--validation", type=float, default=0.005, help="share of held-out documents; not above that of the training")
    parser.add_argument(
        "--held-out", nargs="+", default=(), choices=LITERAL_STYLES, help="literal styles that training left out, for a table of their own"
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder for tokens")
    parser.add_argument("--processes", type=int, default=1, help="that tokenise")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: less of everything, for a trial")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = checkpoint_options(__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=(), help="of needles, in tokens, instead of those of the scale")
    parser.add_argument("--windows", type=int, help="of the perplexities, per kind of text, instead of those of the scale")
    parser.add_argument("--icae", help="folder of an ICAE on that language model")
    parser.add_argument(
        "--earlier",
        nargs="+",
        type=_named_file,
        default=(),
        metavar="NAME=FILE",
        help=f"result files of earlier runs on the same text, for what is not measured now: {', '.join(NAMES)}",
    )
    parser.add_argument("--batch", type=int, default=16, help="questions or windows computed at once")
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args(arguments)


def run(measuring: Callable[[argparse.Namespace], Table], options: argparse.Namespace) -> Table:
    """Measure and say where the result lies; a refusal ends the program with its message."""
    try:
        result = measuring(options)
    except LlocoError as error:
        raise SystemExit(str(error)) from error
    print(f"{options.out}: {result['seconds']:.0f} s")
    return result


def main() -> None:
    """Measure, write, and print the table."""
    print(block(run(measure, parse())))


if __name__ == "__main__":
    main()
