"""What is known of the training of an encoder, for `training.json`, and the same for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lloco_core.encoder_training.loop import Progress
    from lloco_core.encoder_training.run import EncoderRunConfig

PACKAGES = ("torch", "transformers", "peft", "deepspeed", "ray", "tokenizers")
"""Whose versions decide about numbers."""


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """A finished run."""

    run: str
    """Its name."""
    config: dict[str, Any]
    """As it was given."""
    workers: int
    device: str
    """Name of the device of the first worker."""
    steps: int
    tokens: int
    """Tokens of text read."""
    seconds: float
    """Steps, checkpoints, and measurements, over resumed attempts up to their last checkpoint."""
    loss: float | None
    """Of the last step."""
    curves: dict[str, float]
    """Of the last step, by kind of loss."""
    validation: dict[str, Any] | None
    """Behind the last step: perplexity per condition with `intervals`; None where nothing was to be measured."""
    text: dict[str, Any]
    """Of the cache of tokens: `contents` (a hash), `documents`, `n_tokens`, `dropped`."""
    code: str
    """Commit of this package."""
    versions: dict[str, str]

    @classmethod
    def of(
        cls,
        run: str,
        config: EncoderRunConfig,
        progress: Progress,
        validation: dict[str, Any] | None,
        text: dict[str, Any],
        device: str,
        code: str,
    ) -> TrainingRecord:
        """The record of a run that has just ended."""
        return cls(
            run=run,
            config=config.public(),
            workers=config.cluster.train_workers,
            device=device,
            steps=progress.step,
            tokens=progress.tokens,
            seconds=round(progress.seconds, 1),
            loss=progress.loss,
            curves=progress.curves,
            validation=validation,
            text={name: text[name] for name in ("contents", "documents", "n_tokens", "dropped")},
            code=code,
            versions={"lloco-pipeline": _own_version()} | {name: _version(name) for name in PACKAGES},
        )

    def as_json(self) -> dict[str, Any]:
        """The record as plain data."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """The record in words, a line each."""
        rate = f", {self.tokens / self.seconds:,.0f} tokens/s" if self.seconds else ""
        return [
            ("run", self.run),
            ("from", self.config["start"]),
            ("encoder", self.config["output"]),
            ("workers", f"{self.workers} on {self.device}"),
            ("steps", f"{self.steps:,}"),
            ("tokens", f"{self.tokens:,} in {self.seconds:,.0f} s{rate}"),
            ("text", f"{self.text['n_tokens']:,} tokens of {self.text['documents']:,} documents, {self.text['dropped']:,} dropped"),
            *[(f"last loss ({name})", f"{value:.4f}") for name, value in self.curves.items()],
            *_validation_rows(self.validation or {}),
        ]

    def as_markdown(self) -> str:
        """The record as the run's markdown artifact."""
        from lloco_core.observe.printable import markdown_cell

        cells = [f"| {name} | {markdown_cell(text)} |" for name, text in self.rows()]
        return "\n".join(["# Encoder training", "", "| | |", "|---|---|", *cells]) + "\n"


def describe_step(line: dict[str, Any], steps: int) -> str:
    """A line of the curve in words."""
    kinds = ", ".join(f"{name} {value:.4f}" for name, value in line["curves"].items())
    rate = f", {line['tokens'] / line['seconds']:,.0f} tokens/s" if line["seconds"] else ""
    measured = ", ".join(f"{name} {text}" for name, text in _validation_rows(line.get("validation") or {}))
    return f"step {line['step']:,} of {steps:,}: loss {line['loss']:.4f} ({kinds}), {line['tokens']:,} tokens{rate}" + (
        f"; {measured}" if measured else ""
    )


def _validation_rows(table: dict[str, Any]) -> list[tuple[str, str]]:
    from lloco_core.evaluation.perplexity import CONDITIONS

    intervals = table.get("intervals", {}).items()
    found = [(f"perplexity, {name}" if name in CONDITIONS else name, table[name], bounds) for name, bounds in intervals]
    return [(name, f"{value:.3f} [{low:.3f}, {high:.3f}]") for name, value, (low, high) in found]


def _own_version() -> str:
    from lloco_core import __version__

    return __version__


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
