"""Compare the pipeline's encode stage with the encoder alone, on the same documents of the same corpus.

`make benchmark-pipeline` writes `benchmarks/results/pipeline-<hardware>.json` and puts the figures into docs/operations.md between the
markers; `--docs` only does the last. Both are measured in processes of their own, started
anew every time, by turns in alternating order: medians of the repeats are compared. The encoder alone gets all documents in one
call, already tokenised; after it the embedder alone gets all passages, for on a CPU the two share the cores. The pipeline is an
ingest into an empty store on a Ray of this machine; its seconds are those of the
shard records: the encoder's busy seconds, and from the first document it received to the last one it finished.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, between, provenance
from lloco_core.config import NightlyConfig

RESULTS, DOCS = ROOT / "benchmarks" / "results", ROOT / "docs" / "operations.md"
START, END = "<!-- pipeline:start -->", "<!-- pipeline:end -->"
PACKAGES = ("torch", "transformers", "sentence-transformers", "ray", "pylance")
RAY_NICENESS = 15
"""Ray lowers the priority of its workers by this much; the encoder alone gets the same, or a busy machine would favour it."""


def main() -> None:
    """Measure, print, and write the result file."""
    options = _options()
    if options.docs:
        update_docs()
        return
    with tempfile.TemporaryDirectory(prefix="lloco-benchmark-") as folder:
        corpus = options.corpus or _demo_corpus(f"{folder}/corpus", options.chars)
        rows = list(measure(lambda store: _configuration(options, corpus, f"{folder}/{store}"), options.repeats))
    result = {
        **provenance("make benchmark-pipeline", PACKAGES),
        "options": {name: value for name, value in vars(options).items() if name not in ("results", "docs")},
        "medians": medians(rows),
        "rows": rows,
    }
    path = Path(options.results) / f"pipeline-{_machine(options.device, result['hardware']['cores'])}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["medians"], indent=2))
    print(path)
    update_docs()


def update_docs() -> None:
    """Bring docs/operations.md up to date."""
    DOCS.write_text(between(DOCS.read_text(), START, END, docs_block()))


def docs_block() -> str:
    """The table of all result files."""
    results = {path.name: json.loads(path.read_text()) for path in sorted(RESULTS.glob("pipeline-*.json"))}
    return "\n\n".join(_docs_table(result, name) for name, result in results.items())


def _docs_table(result: dict[str, Any], name: str) -> str:
    row, found, hardware = next(row for row in result["rows"] if row["what"] == "pipeline"), result["medians"], result["hardware"]
    return "\n".join(
        [
            f"{row['documents']} documents, {row['tokens']:,} tokens, checkpoint `{result['options']['model']}`, {hardware['cores']} cores "
            f"({hardware['cpu']}), medians of {result['options']['repeats']} runs by turns; from `benchmarks/results/{name}`:",
            "",
            "| | tokens/s | of the encoder alone |",
            "|---|---:|---:|",
            f"| the encoder alone, one call with all documents | {found['engine_tokens_per_second']:,.0f} | |",
            f"| encoder, then passage embedder, one after the other | {found['engine_and_embedder_tokens_per_second']:,.0f} | |",
            f"| the encode stage, per busy second | {found['pipeline_tokens_per_busy_second']:,.0f} | {found['busy_rate_of_engine']:.0%} |",
            f"| the encode stage, per second from first to last document | {found['pipeline_tokens_per_second']:,.0f} "
            f"| {found['wall_rate_of_engine']:.0%}; of encoder and embedder {found['wall_rate_of_engine_and_embedder']:.0%} |",
        ]
    )


def measure(configuration: Callable[[str], NightlyConfig], repeats: int) -> Iterator[dict[str, Any]]:
    """Measure both by turns, the other one first in every second repeat."""
    for repeat in range(repeats):
        pair = [("engine", measure_engine), ("pipeline", measure_pipeline)]
        for what, function in pair if repeat % 2 == 0 else reversed(pair):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                figures = process.submit(function, configuration(f"{what}-{repeat}")).result()
            row = {"repeat": repeat, "what": what, **figures}
            print(json.dumps(row), flush=True)
            yield row


def measure_engine(config: NightlyConfig) -> dict[str, Any]:
    """Tokens per second of one `encode` call with all documents of the plan, and the seconds of embedding all their passages."""
    import torch

    from lloco_core.compressor import load_encoder
    from lloco_core.distributed.session import encoder_resources
    from lloco_core.pipeline import read_shard
    from lloco_core.planning import plan_corpus
    from lloco_core.retrieval.embedder import Embedder
    from lloco_core.retrieval.passages import split_passages
    from lloco_core.store.tables import Store

    os.setpriority(os.PRIO_PROCESS, 0, max(RAY_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    torch.set_num_threads(int(encoder_resources(config.encoder, config.cluster)["num_cpus"]))
    wanted = config.encoder
    encoder = load_encoder(
        wanted.model, wanted.device, wanted.dtype, segment_length=wanted.segment_length, batch_tokens=wanted.batch_tokens
    )
    store = Store(config.store.uri)
    store.create_tables(encoder.summary_length, encoder.hidden_size, 1)
    plan = plan_corpus(config.corpus, config.store, store, encoder.fingerprint)
    shards = [read_shard(shard, config.corpus, encoder.tokenizer, encoder.fingerprint) for shard in plan.shards]
    documents = [document.token_ids for shard in shards for document in shard.documents]
    texts = [document.document.text for shard in shards for document in shard.documents]
    embedder = Embedder(config.retrieval.model, wanted.device)
    passages = [passage.text for text in texts for passage in split_passages(text, config.retrieval.passage_chars)]
    n_tokens, started = sum(map(len, documents)), time.perf_counter()
    encoder.encode(documents)
    seconds = time.perf_counter() - started
    embedder.embed(passages)
    embed_seconds = time.perf_counter() - started - seconds
    return {
        "documents": len(documents),
        "tokens": n_tokens,
        "passages": len(passages),
        "threads": torch.get_num_threads(),
        "seconds": round(seconds, 3),
        "busy_seconds": round(encoder.busy_seconds, 3),
        "embed_seconds": round(embed_seconds, 3),
        "tokens_per_second": round(n_tokens / seconds, 1),
        "tokens_per_second_with_embedding": round(n_tokens / (seconds + embed_seconds), 1),
    }


def measure_pipeline(config: NightlyConfig) -> dict[str, Any]:
    """Rates of the encode stage of an ingest into an empty store."""
    from lloco_core.distributed.ingest import compress_and_commit, open_ingest, plan_ingest
    from lloco_core.distributed.session import ray_session, shards_in_flight

    with ray_session(config.cluster), open_ingest(config, "benchmark") as ingest:
        plan, started = plan_ingest(ingest), time.perf_counter()
        totals = compress_and_commit(ingest, plan, lambda _: None)
        seconds = time.perf_counter() - started
    busy = totals.encoder_busy
    return {
        "documents": totals.n_documents,
        "tokens": totals.n_tokens,
        "shards": totals.n_shards,
        "shards_in_flight": shards_in_flight(ingest.config.encoder, config.cluster),
        "passages": totals.n_passages,
        "stage_seconds": round(seconds, 3),
        "encoder_seconds": round(busy.seconds, 3),
        "busy_seconds": round(busy.busy_seconds, 3),
        "encoder_busy": round(busy.share or 0, 4),
        "tokens_per_busy_second": round(totals.n_tokens / busy.busy_seconds, 1),
        "tokens_per_second": round(totals.n_tokens / busy.seconds, 1),
    }


def medians(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The figures that are compared, and the pipeline's share of the encoder's own rate."""
    engine = [row for row in rows if row["what"] == "engine"]
    pipeline = [row for row in rows if row["what"] == "pipeline"]
    if len({row["tokens"] for row in rows}) != 1:
        raise SystemExit(f"token counts differ: {sorted({row['tokens'] for row in rows})}; the corpus changed while it was measured")
    alone, both = (statistics.median(row[name] for row in engine) for name in ("tokens_per_second", "tokens_per_second_with_embedding"))
    busy, wall = (statistics.median(row[name] for row in pipeline) for name in ("tokens_per_busy_second", "tokens_per_second"))
    return {
        "engine_tokens_per_second": alone,
        "engine_and_embedder_tokens_per_second": both,
        "pipeline_tokens_per_busy_second": busy,
        "pipeline_tokens_per_second": wall,
        "encoder_busy": statistics.median(row["encoder_busy"] for row in pipeline),
        "busy_rate_of_engine": round(busy / alone, 3),
        "wall_rate_of_engine": round(wall / alone, 3),
        "wall_rate_of_engine_and_embedder": round(wall / both, 3),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", help="folder or s3:// prefix; by default the packaged demo corpus")
    parser.add_argument("--chars", type=int, default=600_000, help="size of the demo corpus in characters")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shard-objects", type=int, default=8, help="documents per shard")
    parser.add_argument("--shards-in-flight", type=int, help="by default the pipeline's own")
    parser.add_argument("--encoders", type=int, default=1)
    parser.add_argument("--threads", type=int, help="per encoder; by default the pipeline's own")
    parser.add_argument("--model", default="reference")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("--results", default=str(RESULTS), help="folder of the result file")
    parser.add_argument("--docs", action="store_true", help="only bring docs/operations.md up to date")
    return parser.parse_args()


def _configuration(options: argparse.Namespace, corpus: str, store: str) -> NightlyConfig:
    return NightlyConfig(
        corpus={"uri": corpus, "quarantine_rate": 1.0},
        store={"uri": store, "shard_objects": options.shard_objects},
        encoder={
            "model": options.model,
            "device": options.device,
            "dtype": "bfloat16" if options.device == "cuda" else "float32",
            "batch_tokens": options.batch_tokens,
        },
        cluster={
            "encoders": options.encoders,
            "cpus_per_encoder": options.threads,
            "shards_in_flight": options.shards_in_flight,
        },
    )


def _machine(device: str, cores: int) -> str:
    if device != "cuda":
        return f"{cores}-cores"
    import torch

    return "-".join(torch.cuda.get_device_name().lower().split())


def _demo_corpus(folder: str, chars: int) -> str:
    from lloco_core.corpus.demo import export_demo_corpus

    export_demo_corpus(Path(folder), max_chars_per_document=60_000, max_total_chars=chars)
    return folder


if __name__ == "__main__":
    main()
