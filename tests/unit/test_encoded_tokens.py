"""Tokens that went through the encoder are counted apart from those whose vectors were kept, and rates are theirs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from lloco_core.config import NightlyConfig
from lloco_core.distributed.ingest import IngestTotals, Progress
from lloco_core.objects import open_objects
from lloco_core.observe.report import RunReport
from lloco_core.store.records import ShardRecord, load_records, save_record
from tests.unit.plans import nothing_planned


def record(n_tokens: int, n_encoded: int, seconds: float = 2.0) -> ShardRecord:
    return ShardRecord(
        plan_id="p1",
        shard_id=f"p1-{n_tokens}",
        run_id="run",
        n_documents=1,
        n_segments=4,
        n_passages=5,
        n_tokens=n_tokens,
        n_encoded_tokens=n_encoded,
        n_unchanged=0,
        encode_seconds=seconds,
        fragments={},
        source_uris=("file:///a",),
    )


def test_records_of_earlier_releases_count_every_token_as_encoded(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    save_record(objects, record(100, 10))
    old = asdict(record(200, 200))
    del old["n_encoded_tokens"]
    objects.create("_plans/p1/p1-200.json", json.dumps(old).encode())
    assert load_records(objects, "p1") == [record(100, 10), record(200, 200)]


def facts(*records: ShardRecord) -> dict[str, str]:
    report = RunReport.start(NightlyConfig(corpus={"uri": "corpus"}, store={"uri": "store"}))
    report.plan, report.totals, report.summary_length = nothing_planned(), IngestTotals(), 50
    for item in records:
        report.totals.add(item)
    assert report.as_json()["n_encoded_tokens"] == sum(item.n_encoded_tokens for item in records)
    return dict(report.facts())


def test_the_report_says_how_many_tokens_were_encoded_anew() -> None:
    found = facts(record(1_200_000, 1_000), record(311, 24))
    assert found["tokens"] == "1,200,311, of them 1,024 encoded anew"
    assert found["encoder rate"] == "256 tokens/s"
    assert found["compression"] == "3000.8 tokens per vector"


def test_the_report_counts_pages_without_text_where_there_are_any() -> None:
    assert facts(replace(record(300, 300), n_pages_without_text=9), record(200, 200))["pages without text"] == "9"
    assert "pages without text" not in facts(record(300, 300))


def test_a_first_night_reads_as_before() -> None:
    found = facts(record(3000, 3000))
    assert (found["tokens"], found["encoder rate"]) == ("3,000", "1,500 tokens/s")


def test_nothing_encoded_has_no_rate() -> None:
    found = facts(record(3000, 0, seconds=1e-6))
    assert (found["tokens"], found["encoder rate"]) == ("3,000, of them 0 encoded anew", "-")


def test_progress_counts_encoded_tokens() -> None:
    progress = Progress(n_done=1, n_shards=2, n_documents=3, n_encoded_tokens=500, seconds=10)
    assert str(progress) == "committed 1/2 shards, 3 documents, 500 tokens encoded, 50 tokens/s, about 10 s left"
