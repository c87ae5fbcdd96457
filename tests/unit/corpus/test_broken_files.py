"""Broken files of every format are read or rejected with a reason. Run: pytest tests/unit/corpus/test_broken_files.py -s -m "" """

from __future__ import annotations

import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.reading import read_documents
from lloco_core.corpus.reasons import Reason
from lloco_core.store.tables import Store
from lloco_core.types import Document, Rejection, SourceObject
from tests.broken_files import VALID, broken_files, mutated_files
from tests.crash import loop
from tests.crash.drill import configuration
from tests.harmful_files import endless_html, paragraph_bomb

SEED = 20261122
FEW, MANY = 240, 1300
CODES = {reason.value for reason in Reason}
EXPECTED = (
    "archive_damaged",
    "binary",
    "docx_damaged",
    "empty",
    "file_damaged",
    "html_no_text",
    "parquet_damaged",
    "pdf_damaged",
    "pdf_encrypted",
)
EXPECTED += ("pdf_no_text", "read", "row_malformed", "row_without_text", "too_large_unpacked", "undecodable", "unknown_format")


def outcomes(folder: Path, number: int) -> dict[str, set[str]]:
    """Per file what became of it: reason codes, and `read` where it gave a document."""
    found = {}
    for name, data in broken_files(SEED, number):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        source = SourceObject(path.as_uri(), "e1", len(data), name)
        results = list(read_documents(source, CorpusConfig(uri=str(folder), parse_memory_mb=1024)))
        assert all(result.uri.partition("#")[0] == source.uri and result.etag == "e1" for result in results)
        for rejection in (result for result in results if isinstance(result, Rejection)):
            assert rejection.code in CODES, name
            assert ";" in rejection.message, "a message ends with the next step"
        found[name] = {"read" if isinstance(result, Document) else result.code for result in results}
    return found


def check(found: dict[str, set[str]], number: int) -> None:
    assert len(found) == number
    assert [name for name, codes in found.items() if not codes] == [], "neither read nor rejected"
    counts = Counter((name.partition("/")[0], code) for name, codes in found.items() for code in codes)
    sys.stdout.writelines(f"\n{kind:<15} {code:<20} {n:>5}" for (kind, code), n in sorted(counts.items()))
    assert {kind for kind, _ in counts} == set(VALID)
    assert set(EXPECTED) <= {code for _, code in counts}


def test_the_generator_repeats_itself_and_changes_every_file():
    first, second = (list(islice(mutated_files(SEED), MANY)) for _ in range(2))
    assert first == second
    assert first != list(islice(mutated_files(SEED + 1), MANY))
    valid = {data for _, data in VALID.values()}
    assert {what for _, what, _, data in first if data in valid} == {"wrong-suffix"}


def test_some_broken_files_are_read_or_rejected(tmp_path):
    check(outcomes(tmp_path, FEW), FEW)


@pytest.mark.real
@pytest.mark.timeout(600)
def test_many_broken_files_are_read_or_rejected(tmp_path):
    check(outcomes(tmp_path, MANY), MANY)


@pytest.mark.real
@pytest.mark.timeout(900)
def test_a_night_over_broken_files_stores_or_quarantines_each(tmp_path, monkeypatch):
    """The same files and two that hang and bloat their parser, through plan, shards, commits, and tables."""
    corpus, store_uri = tmp_path / "corpus", str(tmp_path / "store")
    files = dict(broken_files(SEED, MANY)) | {"html/hang.html": endless_html(60_000), "docx/bloat.docx": paragraph_bomb(2_000_000)}
    for name, data in files.items():
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_bytes(data)
    monkeypatch.setattr(loop, "configuration", _with_limits)
    loop.ingest(corpus, store_uri, "night", shard_objects=64, commit_every=4)

    store = Store(store_uri)
    active = store.dataset("documents").to_table(filter="status = 'active'").to_pylist()
    rejected = store.dataset("quarantine").to_table().to_pylist()
    ledger = [row for row in store.dataset("ledger").to_table().to_pylist() if row["shard_id"]]
    stored, refused = {_name(row, corpus) for row in active}, {_name(row, corpus) for row in rejected}
    assert stored | refused == set(files)
    assert len({row["uri"] for row in active}) == len(active)
    assert all(row["message"] and row["stage"] and row["code"] for row in rejected)
    assert sum(row["n_documents"] for row in ledger) == len(active)
    reasons = {_name(row, corpus): row["code"] for row in rejected}
    assert (reasons["html/hang.html"], reasons["docx/bloat.docx"]) == ("parser_timeout", "parser_memory")
    sys.stdout.write(
        f"\n{len(files)} files: {len(stored - refused)} read, {len(stored & refused)} partly, {len(refused - stored)} rejected"
    )
    sys.stdout.write(f"\n{Counter(row['code'] for row in rejected)}\n")


def _with_limits(*args, **layout):
    config = configuration(*args, **layout)
    return config.model_copy(update={"corpus": config.corpus.model_copy(update={"parse_seconds": 10, "parse_memory_mb": 256})})


def _name(row: dict, corpus: Path) -> str:
    return unquote(row["source_uri"]).partition(f"{corpus}/")[2]
