"""What parsing in a child process costs: its start, an object, and a PDF of many pages.

`make benchmark-parsing` writes `benchmarks/results/parsing-<cores>-cores.json` and puts the figures into docs/operations.md between the
markers; `--docs` only does the last.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.machine import ROOT, between, provenance
from lloco_core.config import CorpusConfig
from lloco_core.corpus.demo_pdf import LINES_PER_PAGE, text_pdf
from lloco_core.corpus.formats import parse_object
from lloco_core.corpus.isolation import IsolatedParser
from lloco_core.types import SourceObject

RESULTS, DOCS = ROOT / "benchmarks" / "results", ROOT / "docs" / "operations.md"
START, END = "<!-- parsing:start -->", "<!-- parsing:end -->"
OBJECTS, STARTS = 2000, 5
LIMITS = CorpusConfig(uri="/corpus", parse_seconds=600, max_bytes=2**30)
LINE = "Line {} of a long report about rivers, harbours, and winter weather in the north."


def main() -> None:
    """Measure, print, and write the result file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--docs", action="store_true", help="only bring docs/operations.md up to date")
    options = parser.parse_args()
    if not options.docs:
        result = provenance("make benchmark-parsing", ("pypdf",)) | {"rows": measure(options.pages)}
        path = RESULTS / f"parsing-{result['hardware']['cores']}-cores.json"
        path.write_text(json.dumps(result, indent=2) + "\n")
        print(path)
    update_docs()


def measure(pages: int) -> list[dict[str, Any]]:
    """One row per question, printed as it is known."""
    rows = []
    for row in (_starts(), _objects(), _long_pdf(pages)):
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def _starts() -> dict[str, Any]:
    """Seconds until a new child has answered its first call, and until it has read its first PDF."""
    answered, loaded = [], []
    for _ in range(STARTS):
        child, started = IsolatedParser(), time.perf_counter()
        child.call(sorted, ["ready"], limits=LIMITS)
        answered.append(time.perf_counter() - started)
        _parse(child, "short.pdf", text_pdf("One page.", "short"))
        loaded.append(time.perf_counter() - started)
        child.close()
    return {"what": "start", "starts": STARTS, "seconds": statistics.median(answered), "seconds_to_first_pdf": statistics.median(loaded)}


def _objects() -> dict[str, Any]:
    """Seconds per small text in a child that is there, and in this process."""
    child, data = IsolatedParser(), b"A short text.\n"
    _parse(child, "note.txt", data)
    isolated = _seconds_each(lambda: _parse(child, "note.txt", data))
    child.close()
    return {"what": "object", "objects": OBJECTS, "seconds": isolated, "seconds_without_child": _seconds_each(lambda: _parse_here(data))}


def _seconds_each(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(OBJECTS):
        call()
    return (time.perf_counter() - started) / OBJECTS


def _long_pdf(pages: int) -> dict[str, Any]:
    """Seconds and peak memory of the child for one PDF, a text layer of 60 lines on every page."""
    data = text_pdf("\n".join(LINE.format(number) for number in range(pages * LINES_PER_PAGE)), "long")
    child, started = IsolatedParser(), time.perf_counter()
    (document,) = _parse(child, "long.pdf", data)
    seconds = time.perf_counter() - started
    child.close()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of the largest child that has ended: this one
    found = {"pages": len(document.page_starts), "characters": len(document.text)}
    return {"what": "pdf", "megabytes": len(data) / 1e6, "seconds": seconds, "peak_mb": peak} | found


def _parse(child: IsolatedParser, name: str, data: bytes) -> list[Any]:
    return child.call(parse_object, data, _source(name, data), LIMITS, limits=LIMITS)


def _parse_here(data: bytes) -> list[Any]:
    return list(parse_object(data, _source("note.txt", data), LIMITS))


def _source(name: str, data: bytes) -> SourceObject:
    return SourceObject(f"file:///corpus/{name}", "etag", len(data), name)


def update_docs() -> None:
    """Bring docs/operations.md up to date."""
    DOCS.write_text(between(DOCS.read_text(), START, END, docs_block()))


def docs_block() -> str:
    """The table of all result files."""
    return "\n\n".join(_docs_table(json.loads(path.read_text()), path.name) for path in sorted(RESULTS.glob("parsing-*.json")))


def _docs_table(result: dict[str, Any], name: str) -> str:
    start, each, pdf = result["rows"]
    hardware = result["hardware"]
    return "\n".join(
        [
            f"{hardware['cores']} cores ({hardware['cpu']}), from `benchmarks/results/{name}`:",
            "",
            "| | |",
            "|---|---:|",
            f"| start of the parser process | {start['seconds']:.2f} s |",
            f"| start, parser library, and a first PDF of one page | {start['seconds_to_first_pdf']:.2f} s |",
            f"| a small text, in a running process | {1000 * each['seconds']:.2f} ms |",
            f"| the same without a process of its own | {1000 * each['seconds_without_child']:.2f} ms |",
            f"| a PDF of {pdf['pages']:,} pages, {pdf['characters'] / 1e6:.0f} million characters | {pdf['seconds']:.0f} s |",
            f"| peak memory of its parser process | {pdf['peak_mb']:.0f} MB |",
        ]
    )


if __name__ == "__main__":
    main()
