"""What the objects beside the tables hold of a document: training questions, checkpoints, candidates, closing answers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from lloco_core.store.forgetting.forgotten import name_hash

if TYPE_CHECKING:
    from lloco_core.objects import Objects


def trained_adapters(objects: Objects, doc_id: str) -> tuple[str, ...]:
    """Ids of the published adapters that a document was trained into, by their manifests."""
    keys = [item.key for item in objects.list("adapters/") if item.key.endswith("/manifest.json")]
    return tuple(key.split("/")[1] for key in keys if doc_id in json.loads(objects.get(key))["documents"])


def document_traces(
    objects: Objects, doc_id: str, uri_hashes: tuple[str, ...], groups: tuple[str, ...]
) -> Iterator[tuple[str, bytes | None]]:
    """Every object that holds something of a document, with its content without that; None where nothing is left of it.

    Published adapters are not among them: their folders are immutable, they are marked for retraining instead.
    """
    yield from _training_traces(objects, doc_id)
    yield from _answers(objects, uri_hashes, groups)


def clear_plans(objects: Objects) -> None:
    """Delete what finished plans left: it is of no use any more, and names the objects they read. No plan may be open."""
    for item in list(objects.list("_plans/")):
        objects.delete(item.key)


def _training_traces(objects: Objects, doc_id: str) -> Iterator[tuple[str, bytes | None]]:
    """Checkpoints and candidates first, then what tells that they were trained on the document: it may be repeated after a crash."""
    keys = [item.key for folder in ("_training/", "_candidates/") for item in objects.list(folder)]
    questions = {key: _examples_without(objects.get(key), doc_id) for key in keys if key.count("/") == 1 and key.endswith(".parquet")}
    rewritten = {key: kept for key, kept in questions.items() if kept is not None}
    trained = {key.split("/")[1].removesuffix(".parquet") for key in rewritten}
    markers = [key for key in keys if key.endswith("/candidate.json") and doc_id in json.loads(objects.get(key))["documents"]]
    trained |= {key.split("/")[1] for key in markers}
    folders = [key for key in keys if key.count("/") > 1 and key.split("/")[1] in trained]
    yield from ((key, None) for key in [*(key for key in folders if key not in markers), *markers])
    yield from rewritten.items()


def _examples_without(data: bytes, doc_id: str) -> bytes | None:
    """A file of training questions without those about a document; None where it has none of them."""
    table = pq.read_table(io.BytesIO(data))
    kept = table.filter(pc.not_equal(table["doc_id"], doc_id))
    if kept.num_rows == table.num_rows:
        return None
    buffer = io.BytesIO()
    pq.write_table(kept, buffer)
    return buffer.getvalue()


def _answers(objects: Objects, uri_hashes: tuple[str, ...], groups: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Run summaries without the closing answers of the document's groups: vectors and adapter of a group may say what is in any of it.
    Questions that failed go too: nothing says what they were about.
    """
    for item in objects.list("_runs/"):
        if not item.key.endswith("/summary.json"):
            continue
        summary = json.loads(objects.get(item.key))
        answers = summary.get("examples", [])
        kept = [answer for answer in answers if not answer.get("failure") and _is_of_others(answer, uri_hashes, groups)]
        if len(kept) < len(answers):
            yield item.key, json.dumps(summary | {"examples": kept}, indent=2).encode()


def _is_of_others(answer: dict[str, Any], uri_hashes: tuple[str, ...], groups: tuple[str, ...]) -> bool:
    return answer["group"] not in groups and name_hash(answer["source_uri"]) not in uri_hashes
