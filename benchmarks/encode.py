"""How fast the encoder runs, against two baselines and against the fastest matrix product of the same machine.

`make benchmark-encode` measures this machine and updates the README. On a machine that has the model libraries only:

    PYTHONPATH=. python benchmarks/encode.py --shape llama2-7b --documents 6k,30k,128k,mix --out DIR

Rows are written to `DIR/encode-<card>-<shape>.json` as they finish. `--merge FILE ...` adds files of other runs to `--out`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import agreement, devices, kernels, machine, report, shapes, workloads
from benchmarks.clocks import CardWatch
from benchmarks.engines import NAMES, Engine, build_engine, release_memory
from benchmarks.useful import SUSTAINED_SECONDS, Cost, fp8_ceiling, matrix_ceiling, useful_operations

PACKAGES = ("torch", "transformers", "triton", "nvidia-cudnn-cu13", "nvidia-cudnn-frontend", "numpy", "safetensors")
IN_FLOAT32 = "original in float32"


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; what is left out depends on the machine."""
    card = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda" if card else "cpu")
    parser.add_argument("--shape", choices=shapes.NAMES, help="by default llama2-7b on a card, else reference")
    parser.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), help="by default bfloat16 on a card, else float32")
    parser.add_argument("--engines", type=_names, help=f"of {','.join(NAMES)}")
    parser.add_argument("--documents", type=_names, help="6k, 30k, 128k, a number of tokens, mix, or 128k+short")
    parser.add_argument("--documents-scale", type=float, default=1.0, help="factor on the documents per row")
    parser.add_argument("--batch-tokens", type=int, help="the encoder's batch_tokens")
    parser.add_argument("--devices", type=int, default=1, help="more than 1: only the mix, on one device and on that many")
    parser.add_argument("--profile", action="store_true", help="also record where the card's time goes")
    parser.add_argument("--no-agreement", action="store_true", help="do not compare the vectors; random weights on a card never do")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--limit-seconds", type=float, default=float("inf"), help="start no row after that")
    parser.add_argument("--out", type=Path, default=report.RESULTS)
    parser.add_argument("--commit", default=None)
    parser.add_argument("--readme", action="store_true", help="only update the README from the committed result files")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="FILE", help="only merge result files into --out")
    options = parser.parse_args(arguments)
    options.command = " ".join(["python benchmarks/encode.py", *arguments])
    options.on_card = options.device.startswith("cuda")
    options.shape = options.shape or ("llama2-7b" if options.on_card else "reference")
    options.dtype = options.dtype or ("bfloat16" if options.on_card else "float32")
    options.no_agreement = options.no_agreement or (options.on_card and options.shape not in shapes.TRAINED)
    options.engines = options.engines or (list(NAMES) if options.on_card else ["original", "stock", "ours"])
    options.documents = options.documents or (["6k", "30k", "128k", "mix"] if options.on_card else ["1.5k", "6k", "30k"])
    if unknown := set(options.engines) - set(NAMES):
        parser.error(f"--engines {','.join(sorted(unknown))} is not known; use {', '.join(NAMES)}")
    return options


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main(arguments: list[str]) -> int:
    """Measure, write, print; 1 if an engine failed."""
    options = parse(arguments)
    if options.merge:
        print(*report.merge_files(options.merge, options.out), sep="\n")
        return 0
    if options.readme:
        report.update_readme()
        return 0
    run = Run(options)
    run.measure()
    print(report.text_table(run.result))
    return 1 if run.result["errors"] else 0


class Run:
    """One run of the benchmark: its options, and the result as far as it got."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.dtype: torch.dtype = getattr(torch, options.dtype)
        self.started = time.monotonic()
        name = torch.cuda.get_device_name(options.device) if options.on_card else machine.cpu_name()
        cores = len(os.sched_getaffinity(0))
        self.result: dict[str, Any] = {
            "command": options.command,
            "commit": options.commit or machine.commit(),
            "seed": options.seed,
            "shape": options.shape,
            "card": _slug(name.removeprefix("NVIDIA ")) if options.on_card else f"cpu-{cores}-cores",
            "dtype": options.dtype,
            "hardware": {"name": name if options.on_card else f"{cores} cores ({name})", "cores": cores} | _card_facts(options),
            "versions": machine.versions(PACKAGES),
            "ceiling_tflops": 0.0,
            "ceiling_before": 0.0,
            "ceiling_after": None,
            "ceiling_sustained_tflops": None,
            "ceiling_fp8_tflops": None,
            "rows": [],
            "agreement": [],
            "reading": [],
            "errors": [],
        }
        self.before = report.load(report.result_path(options.out, self.result))
        self.vectors: dict[str, list[torch.Tensor]] = {}

    def measure(self) -> None:
        """All rows of all engines between two measurements of the ceiling."""
        self.result["ceiling_before"] = self.result["ceiling_tflops"] = matrix_ceiling(self.options.device, self.dtype)
        self.result["ceiling_fp8_tflops"] = fp8_ceiling(self.options.device)
        for engine in self.options.engines:
            try:
                self._measure_devices(engine) if self.options.devices > 1 else self._measure_engine(engine)
            except Exception as error:  # noqa: BLE001 - compilers raise anything; what was measured is kept
                self._failed(engine, error)
            release_memory()
        if self.vectors and not self._late():
            self._compare()
        self.result["ceiling_after"] = matrix_ceiling(self.options.device, self.dtype)
        self.result["ceiling_sustained_tflops"] = matrix_ceiling(self.options.device, self.dtype, SUSTAINED_SECONDS)
        self.result["ceiling_tflops"] = max(self.result["ceiling_before"], self.result["ceiling_after"])
        for row in self.result["rows"]:
            report.rate(row, self.result)
        self._save()

    def _measure_engine(self, name: str) -> None:
        weights = shapes.build_weights(self.options.shape, self.options.device, self.dtype, self.options.seed)
        engine = build_engine(name, weights, self.options.batch_tokens)
        for documents in self.options.documents:
            if documents in workloads.CONTINUOUS_ONLY and not name.startswith("ours"):
                continue
            if self._late():
                self._note_error(f"{name} {documents}: not begun, {self.options.limit_seconds:.0f} s are over")
                continue
            try:
                self._measure_row(name, engine, weights, documents)
            except Exception as error:  # noqa: BLE001 - compilers raise anything; what was measured is kept
                self._failed(f"{name} {documents}", error)
        if not self.options.no_agreement and not self._late():
            self.vectors[name] = engine.encode(self._compared_documents(weights))
            if self.options.on_card and self.options.shape in shapes.TRAINED:  # a CPU takes minutes for what `make benchmark-vectors` does
                self._measure_reading(name, engine)

    def _measure_reading(self, name: str, engine: Engine) -> None:
        """What a float32 reader makes of the engine's vectors."""
        from benchmarks.quality import measure_reading
        from lloco_core.compressor import load_encoder

        reader = load_encoder(self.options.shape, self.options.device)
        self.result["reading"].append({"engine": name, "dtype": self.options.dtype} | measure_reading(reader, engine.encode))

    def _measure_row(self, name: str, engine: Engine, weights: shapes.Weights, documents: str) -> None:
        options, vocabulary = self.options, weights.model.config.vocab_size
        lengths = self._lengths(name, documents, weights.segment_length)
        texts = workloads.random_documents(lengths, vocabulary, options.seed)
        warmup = workloads.warmup_lengths(lengths, weights.segment_length, name)
        engine.encode(workloads.random_documents(warmup, vocabulary, options.seed + 1))
        self._synchronize()
        if options.on_card:
            torch.cuda.reset_peak_memory_stats()
        busy = getattr(engine, "busy_seconds", None)
        with CardWatch(options.device) if options.on_card else nullcontext() as watch:
            start = time.perf_counter()
            engine.encode(texts)
            self._synchronize()
            seconds = time.perf_counter() - start
        row = self._row(name, documents, lengths, weights, seconds)
        if options.on_card:
            row["cards"] = [watch.seen]
            row["peak_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
            row["reserved_memory_gb"] = torch.cuda.max_memory_reserved() / 1e9
        if busy is not None:
            row["busy_share"] = (engine.busy_seconds - busy) / seconds
        self._add(row)
        if options.profile and options.on_card and name.startswith("ours"):
            path = options.out / f"profile-{self.result['card']}-{options.shape}-{documents}{name.removeprefix('ours')}.txt"
            print(kernels.write_profile(path, lambda: engine.encode(texts), seconds), flush=True)

    def _measure_devices(self, name: str) -> None:
        options = self.options
        weights = shapes.build_weights(options.shape, "meta", self.dtype, options.seed)  # only to count: the processes have their own
        lengths = self._lengths(name, "mix", weights.segment_length)
        job = devices.Job(options.shape, name, options.device, self.dtype, options.seed, options.batch_tokens, lengths, [])
        alone = None
        for count in (1, options.devices):
            seconds, finished = devices.run_processes(devices.split_job(job, count))
            row = self._row(name, "mix", lengths, weights, seconds, count)
            row["note"] = "one engine process per device, without Ray; seconds from a barrier after warm-up to the last end"
            row["process_seconds"] = [report.ended - report.started for report in finished]
            row["sustained_tflops_at_once"] = [report.sustained_tflops for report in finished]
            row["cards"] = [report.card for report in finished]
            if options.on_card:
                row["peak_memory_gb"] = max(report.peak_memory_gb for report in finished)
            alone = alone or row
            row["speedup"] = row["documents_per_s"] / alone["documents_per_s"]
            self._add(row)

    def _lengths(self, engine: str, documents: str, segment_length: int) -> list[int]:
        options = self.options
        return workloads.document_lengths(documents, engine, segment_length, options.seed, options.documents_scale, options.on_card)

    def _row(
        self, engine: str, documents: str, lengths: list[int], weights: shapes.Weights, seconds: float, n_devices: int = 1
    ) -> dict[str, Any]:
        useful = useful_operations(lengths, Cost.of(weights.model), weights.segment_length, len(weights.summary_SH))
        row = {
            "engine": engine,
            "documents": documents,
            "dtype": self.options.dtype,
            "devices": n_devices,
            "n_documents": len(lengths),
            "subset_of": workloads.subset_of(documents, engine),
            "tokens": sum(lengths),
            "longest": max(lengths),
            "seconds": seconds,
            "tokens_per_s": sum(lengths) / seconds,
            "documents_per_s": len(lengths) / seconds,
            "useful_tflops": useful / seconds / 1e12,
            "peak_memory_gb": None,
            "commit": self.result["commit"],
            "seed": self.options.seed,
        }
        report.rate(row, self.result)
        return row

    def _compared_documents(self, weights: shapes.Weights) -> list[np.ndarray]:
        segments = agreement.CARD_SEGMENTS if self.options.on_card else agreement.CPU_SEGMENTS
        lengths = [round(part * weights.segment_length) for part in segments]
        return workloads.random_documents(lengths, weights.model.config.vocab_size, self.options.seed + 2)

    def _compare(self) -> None:
        """Every engine against the plain path in its own format and in float32, and fp8 against what it replaces."""
        weights = shapes.build_weights(self.options.shape, self.options.device, self.dtype, self.options.seed)
        documents = self._compared_documents(weights)
        if "original" not in self.vectors:
            self.vectors["original"] = build_engine("original", weights).encode(documents)
        if self.options.dtype != "float32":
            self.vectors[IN_FLOAT32] = build_engine("original", weights.as_float32()).encode(documents)
        pairs = [(name, other) for name in NAMES for other in ("original", IN_FLOAT32) if name != other]
        pairs = [pair for pair in pairs if set(pair) <= set(self.vectors)]
        if {"ours", "ours-fp8"} <= set(self.vectors):
            pairs.append(("ours-fp8", "ours"))
        for name, other in pairs:
            figures = agreement.compare(self.vectors[name], self.vectors[other])
            self.result["agreement"].append(
                {"engine": name, "against": other, "dtype": self.options.dtype, "commit": self.result["commit"]} | figures
            )

    def _late(self) -> bool:
        return time.monotonic() - self.started > self.options.limit_seconds

    def _synchronize(self) -> None:
        if self.options.on_card:
            torch.cuda.synchronize()

    def _add(self, row: dict[str, Any]) -> None:
        self.result["rows"].append(row)
        self._save()
        print(
            f"{row['engine']} {row['documents']} on {row['devices']}: {row['tokens_per_s']:,.0f} tokens/s, {row['share_of_ceiling']:.1%}, "
            f"{row['seconds']:.1f} s, after {time.monotonic() - self.started:.0f} s",
            flush=True,
        )

    def _failed(self, what: str, error: Exception) -> None:
        traceback.print_exception(error)
        self._note_error(f"{what}: {type(error).__name__}: {str(error)[:300]}")

    def _note_error(self, text: str) -> None:
        self.result["errors"].append(text)
        self._save()

    def _save(self) -> None:
        report.save(self.options.out, self.result, self.before)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _card_facts(options: argparse.Namespace) -> dict[str, Any]:
    if not options.on_card:
        return {}
    properties = torch.cuda.get_device_properties(options.device)
    return {"devices": torch.cuda.device_count(), "memory_gb": round(properties.total_memory / 1e9, 1), "cuda": torch.version.cuda}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
