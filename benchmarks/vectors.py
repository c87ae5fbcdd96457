"""What each format of stored vectors costs and keeps: bytes, distance to the 16-bit vectors, facts read from them, perplexity after them.

`make benchmark-vectors` writes `benchmarks/results/vectors-cpu.json` and puts its table into docs/operations.md between the markers;
`--docs` only does the last, `--documents FOLDER` measures on the .txt files of a folder, `--model` another checkpoint. All vectors go
through a store: they are written as shards, committed, published, and read back.

Shape suffixes: P vectors of a document, H hidden size.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np

from benchmarks.machine import ROOT, between, provenance
from benchmarks.quality import (
    DEPTHS,
    FOLLOWING,
    HAYSTACK,
    QUESTION,
    Vectors,
    answers,
    city_of,
    continuation,
    longest,
    n_found,
    needle_cases,
    perplexity,
    read_texts,
)
from lloco_core.answer.local import LocalAnswerer
from lloco_core.compressor import AutoCompressor, load_encoder
from lloco_core.config import REFERENCE_MODEL, AnswerConfig, VectorFormat
from lloco_core.fingerprint import digest
from lloco_core.store.commit import Committer, begin_plan
from lloco_core.store.lease import CommitLease
from lloco_core.store.nights import publish_night
from lloco_core.store.read import open_night
from lloco_core.store.tables import Store
from lloco_core.store.vectors import bytes_per_vector
from lloco_core.store.write import Writing, write_shard
from lloco_core.types import CompressedDocument, CompressedShard, Document, Segment, Shard

FORMATS: tuple[VectorFormat, ...] = get_args(VectorFormat)
PACKAGES = ("torch", "transformers", "numpy", "pyarrow", "pylance")
RESULT = ROOT / "benchmarks" / "results" / "vectors-cpu.json"
DOCS = ROOT / "docs" / "operations.md"
START, END = "<!-- vectors:start -->", "<!-- vectors:end -->"


def main() -> None:
    """Measure, write the result file, and update the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=Path, help="folder of .txt files; by default the topics of Python's help()")
    parser.add_argument("--model", default=REFERENCE_MODEL, help="checkpoint: `reference`, a folder, or a hub name")
    parser.add_argument("--output", type=Path, default=RESULT, help="result file")
    parser.add_argument("--docs", action="store_true", help="only bring docs/operations.md up to date")
    options = parser.parse_args()
    if not options.docs:
        options.output.write_text(json.dumps(measure(options.documents, options.model), indent=2) + "\n")
    DOCS.write_text(between(DOCS.read_text(), START, END, docs_block()))


def measure(folder: Path | None, model: str = REFERENCE_MODEL) -> dict:
    """All figures of all formats."""
    encoder = load_encoder(model, device="cpu", dtype="float32")
    texts = longest(read_texts(folder), encoder)
    cases, continuations = needle_cases(texts, encoder), [continuation(name, text, encoder) for name, text in texts.items()]
    inputs_T = {case.name: encoder.tokenize(case.text)[0] for case in cases} | {item.name: item.context_T for item in continuations}
    encoded = dict(zip(inputs_T, encoder.encode(list(inputs_T.values())), strict=True))
    exact = {name: vectors_PH.numpy().astype(np.float16) for name, vectors_PH in encoded.items()}
    rows, found = [], {}
    for form in FORMATS:
        stored, table_bytes = _through_a_store(exact, encoder, form)
        found[form] = answers(cases, stored, encoder)
        rows.append(
            _sizes(form, encoder, table_bytes, sum(map(len, exact.values())))
            | _distances(exact, stored)
            | {
                "needles_found": n_found(found[form], cases),
                "answers_as_with_float16": sum(a == b for a, b in zip(found[form], found["float16"], strict=True)),
                "perplexity": perplexity(continuations, [stored[item.name] for item in continuations], encoder),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    without = LocalAnswerer(encoder, AnswerConfig(max_new_tokens=8)).answer(QUESTION, None)
    coarse = {name: _in_4_bits(vectors_PH) for name, vectors_PH in exact.items()}
    others = [exact[item.name] for item in (*continuations[1:], continuations[0])]
    return {
        **provenance("make benchmark-vectors", PACKAGES),
        "model": {"name": model, "hidden_size": encoder.hidden_size},
        "documents": {"source": folder.name if folder else "pydoc_data.topics", "names": list(texts)},
        "needles": {"cases": len(cases), "tokens": HAYSTACK, "depths": DEPTHS},
        "perplexity": {"context_tokens": len(continuations[0].context_T), "scored_tokens": len(texts) * (FOLLOWING - 1)},
        "vectors": sum(map(len, exact.values())),
        "formats": rows,
        "controls": {
            "needles_found_without_vectors": n_found([city_of(without)] * len(cases), cases),
            "needles_found_in_4_bits": n_found(answers(cases, coarse, encoder), cases),
            "perplexity_in_4_bits": perplexity(continuations, [coarse[item.name] for item in continuations], encoder),
            "perplexity_without_vectors": perplexity(continuations, [None] * len(continuations), encoder),
            "perplexity_after_another_document": perplexity(continuations, others, encoder),
        },
    }


def _through_a_store(exact: Vectors, encoder: AutoCompressor, form: VectorFormat) -> tuple[Vectors, int]:
    """Write all vectors, publish, read them back; returns them with the bytes of the segments table's files."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.create_tables(encoder.summary_length, encoder.hidden_size, 4, form)
        shard = CompressedShard(Shard("plan", "plan-0", ()), [_document(name, found, encoder) for name, found in exact.items()], [], [], 0)
        with CommitLease(store.objects, "run", 600) as lease:
            committer = Committer(store, lease, begin_plan(store, "plan", "run", 1))
            committer.commit([write_shard(store, shard, Writing("run", encoder.fingerprint, encoder.summary_length))])
            committer.close()
        publish_night(store, "run")
        night = open_night(folder)
        files = Path(folder, "segments.lance", "data").iterdir()
        return {name: night.summaries(name) for name in exact}, sum(path.stat().st_size for path in files)


def _document(name: str, vectors_PH: np.ndarray, encoder: AutoCompressor) -> CompressedDocument:
    length = encoder.segment_length
    segments = [
        Segment(index, digest([name, index]), index * length, (index + 1) * length, 0, 0, summary_SH)
        for index, summary_SH in enumerate(vectors_PH.reshape(-1, encoder.summary_length, encoder.hidden_size))
    ]
    return CompressedDocument(Document(name, name, "", "", "", name, "text/plain"), "a", 0, 0, segments, [], np.zeros((0, 4), np.float32))


def _sizes(form: VectorFormat, encoder: AutoCompressor, table_bytes: int, n_vectors: int) -> dict:
    each = bytes_per_vector(encoder.hidden_size, form)
    return {
        "format": form,
        "bytes_per_vector": each,
        "bytes_per_million_tokens": round(each * encoder.summary_length / encoder.segment_length * 1e6),
        "table_bytes": table_bytes,
        "table_bytes_per_vector": round(table_bytes / n_vectors, 1),
    }


def _distances(exact: Vectors, stored: Vectors) -> dict:
    """Cosine and relative L2 error of every vector against its 16-bit form."""
    ours_PH, theirs_PH = (np.concatenate([found[name] for name in exact]).astype(np.float64) for found in (exact, stored))
    norms_P = np.linalg.norm(ours_PH, axis=1)
    cosines_P = (ours_PH * theirs_PH).sum(axis=1) / norms_P / np.linalg.norm(theirs_PH, axis=1)
    errors_P = np.linalg.norm(theirs_PH - ours_PH, axis=1) / norms_P
    return {
        "cosine_mean": round(float(cosines_P.mean()), 6),
        "cosine_min": round(float(cosines_P.min()), 6),
        "relative_error_mean": round(float(errors_P.mean()), 5),
        "relative_error_max": round(float(errors_P.max()), 5),
    }


def _in_4_bits(vectors_PH: np.ndarray) -> np.ndarray:
    """Rounded as int8 is, to 15 steps: a format that is not offered, to see that these figures can get worse."""
    scales_P1 = np.abs(vectors_PH).max(axis=1, keepdims=True).astype(np.float32) / 7
    return (np.rint(vectors_PH / scales_P1) * scales_P1).astype(np.float16)


def docs_block() -> str:
    """The table of the result file."""
    result = json.loads(RESULT.read_text())
    model, documents, rows, controls = (result[name] for name in ("model", "documents", "formats", "controls"))
    cases = result["needles"]["cases"]
    full = rows[0]["table_bytes"]
    lines = [
        f"Checkpoint `{model['name']}` ({model['hidden_size']} wide), {len(documents['names'])} documents of `{documents['source']}`, "
        f"{result['vectors']:,} vectors written to a store and read back; from `benchmarks/results/{RESULT.name}`:",
        "",
        "| `store.vectors` | " + " | ".join(row["format"] for row in rows) + " |",
        "|---|" + "---:|" * len(rows),
        _line("bytes per vector", [f"{row['bytes_per_vector']:,}" for row in rows]),
        _line("MB per million tokens", [f"{row['bytes_per_million_tokens'] / 1e6:.1f}" for row in rows]),
        _line("size of the table's files", [f"{row['table_bytes'] / 1e6:.2f} MB ({row['table_bytes'] / full:.0%})" for row in rows]),
        _line("cosine to 16 bits, mean / least", [f"{row['cosine_mean']:.5f} / {row['cosine_min']:.5f}" for row in rows]),
        _line("relative L2 error, mean", [f"{row['relative_error_mean']:.2%}" for row in rows]),
        _line(f"inserted facts read, of {cases}", [row["needles_found"] for row in rows]),
        _line("answers as with 16 bits", [f"{row['answers_as_with_float16']} of {cases}" for row in rows]),
        _line("perplexity of the text that follows", [f"{row['perplexity']:.2f}" for row in rows]),
        "",
        "For comparison: " + "; ".join(f"{name} {value:g}" for name, value in _controls(controls)) + ".",
    ]
    return "\n".join(lines)


def _controls(found: dict) -> Iterator[tuple[str, float]]:
    yield "facts read without vectors:", found["needles_found_without_vectors"]
    yield "from vectors rounded to 4 bits (not offered):", found["needles_found_in_4_bits"]
    yield "perplexity without vectors:", round(found["perplexity_without_vectors"], 2)
    yield "with those of another document:", round(found["perplexity_after_another_document"], 2)
    yield "with vectors rounded to 4 bits:", round(found["perplexity_in_4_bits"], 2)


def _line(name: str, values: list) -> str:
    return f"| {name} | " + " | ".join(map(str, values)) + " |"


if __name__ == "__main__":
    main()
