"""A document whose tail changed: what is kept, what is encoded, and that the vectors are right. Nights as workers run them, without Ray."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lloco_core.compressor import AutoCompressor, load_encoder, locate_checkpoint
from lloco_core.config import CorpusConfig, EncoderConfig, RetrievalConfig, StoreConfig
from lloco_core.distributed.compression import CompressionJob, _write, read_planned
from lloco_core.pipeline import compress_shard
from lloco_core.planning import Plan, plan_corpus
from lloco_core.retrieval.embedder import Embedder
from lloco_core.store.commit import Committer, begin_plan
from lloco_core.store.lease import CommitLease
from lloco_core.store.nights import publish_night
from lloco_core.store.read import Night, open_night
from lloco_core.store.records import ShardRecord
from lloco_core.store.segments import StoredSegments
from lloco_core.store.tables import Store
from lloco_core.types import KnownDocument, TokenizedShard

LENGTH = 64
"""Tokens per segment."""

VECTOR_ERROR = 2.0**-10
"""Bound of |continued - full| / |full| per vector: one step of float16. Measured with 64 and 128 tokens per segment: at most 4.9e-4."""

COSINE_GAP = 1e-6
"""Bound of 1 - cosine per vector. Measured: at most 2e-7, the resolution of float32."""

pytestmark = pytest.mark.usefixtures("one_thread")

SINGLE_TOKENS = ("the", "day", "water", "time", "most", "look", "more", "down", "side", "now", "over", "way")


def words(count: int, seed: int = 0) -> list[str]:
    """Words of one token each, also at the beginning of a text, so that a text of n words has n tokens."""
    return [SINGLE_TOKENS[pick] for pick in np.random.default_rng(seed).integers(0, len(SINGLE_TOKENS), count)]


class CountedEncoder:
    """An encoder that notes how many tokens it was given, and after how many vectors."""

    def __init__(self, encoder: AutoCompressor) -> None:
        self.encoder = encoder
        self.calls: list[list[tuple[int, int]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def encode(self, token_ids: list[np.ndarray], prefix: list[np.ndarray | None]) -> list[Any]:
        counts = [(len(ids), 0 if before is None else len(before)) for ids, before in zip(token_ids, prefix, strict=True)]
        self.calls.append(counts)
        return self.encoder.encode(token_ids, prefix=prefix)


class Corpus:
    """A folder of texts and its store. `night` plans, reads, encodes, writes, commits, and publishes."""

    def __init__(self, folder: Path, store: Path, embedder: Embedder) -> None:
        self.folder = folder / "g"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = CorpusConfig(uri=str(folder), id_field="id")
        self.embedder = embedder
        self.store = Store(str(store))
        self.store.create_tables(50, 512, embedder.dimension)

    def write(self, text: list[str], name: str = "a.txt") -> None:
        (self.folder / name).write_text(" ".join(text))

    def plan(self, encoder: Any) -> tuple[Plan, CompressionJob]:
        """A plan, and the job that the driver makes of it."""
        plan = plan_corpus(self.config, StoreConfig(uri=self.store.root), self.store, encoder.fingerprint)
        marker = begin_plan(self.store, plan.plan_id, "run", len(plan.shards))
        job = CompressionJob(
            run_id="run",
            store_uri=self.store.root,
            corpus=self.config,
            encoder=EncoderConfig(segment_length=encoder.segment_length),
            retrieval=RetrievalConfig(),
            encoder_fingerprint=encoder.fingerprint,
            segment_length=encoder.segment_length,
            summary_length=encoder.summary_length,
            base_versions=marker.base_versions,
            centroids=None,
        )
        return plan, job

    def encode(self, plan: Plan, job: CompressionJob, encoder: Any) -> list[ShardRecord]:
        compressed = [self.compress(read_planned(shard, job), encoder) for shard in plan.shards]
        return [_write({"shard": shard}, job)["record"] for shard in compressed]

    def compress(self, shard: TokenizedShard, encoder: Any) -> Any:
        return compress_shard(shard, encoder, self.embedder, 20_000, None)

    def commit(self, plan: Plan, records: list[ShardRecord]) -> Night:
        with CommitLease(self.store.objects, "run", 600) as lease:
            committer = Committer(self.store, lease, begin_plan(self.store, plan.plan_id, "run", len(plan.shards)))
            committer.commit(records)
            committer.close()
        return open_night(self.store.root, publish_night(self.store, "night"))

    def night(self, encoder: Any) -> tuple[Night, list[ShardRecord]]:
        plan, job = self.plan(encoder)
        records = self.encode(plan, job, encoder)
        return self.commit(plan, records), records


@pytest.fixture(scope="module")
def loaded() -> AutoCompressor:
    return load_encoder("reference", segment_length=LENGTH)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder("minilm")


@pytest.fixture
def encoder(loaded: AutoCompressor) -> CountedEncoder:
    return CountedEncoder(loaded)


@pytest.fixture
def corpus(tmp_path: Path, embedder: Embedder) -> Corpus:
    """No document, empty tables."""
    return Corpus(tmp_path / "corpus", tmp_path / "store", embedder)


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory, loaded: AutoCompressor, embedder: Embedder) -> Path:
    """A folder with a corpus of one document, `TEXT`, and the store after its first night."""
    folder = tmp_path_factory.mktemp("first-night")
    corpus, encoder = Corpus(folder / "corpus", folder / "store", embedder), CountedEncoder(loaded)
    corpus.write(TEXT)
    _, [record] = corpus.night(encoder)
    assert encoder.calls == [[(660, 0)]]
    assert (record.n_tokens, record.n_encoded_tokens) == (660, 660)
    return folder


@pytest.fixture
def stored(first_night: Path, tmp_path: Path, embedder: Embedder) -> Corpus:
    """The first night's corpus and a copy of its store."""
    return Corpus(first_night / "corpus", shutil.copytree(first_night / "store", tmp_path / "stored"), embedder)


def vectors(night: Night) -> np.ndarray:
    """All vectors [P, H] float16 of the only document."""
    [document] = night.documents()
    return night.summaries(document.doc_id)


def full(encoder: CountedEncoder, text: list[str]) -> np.ndarray:
    """The vectors of a text encoded in one go, as a store would hold them."""
    ids, _ = encoder.tokenize(" ".join(text))
    assert len(ids) == len(text)
    return encoder.encoder.encode([ids])[0].numpy().astype(np.float16)


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    norms = np.linalg.norm(wanted, axis=1)
    assert (np.linalg.norm(found - wanted, axis=1) / norms).max() < VECTOR_ERROR
    assert ((found * wanted).sum(axis=1) / norms / np.linalg.norm(found, axis=1)).min() > 1 - COSINE_GAP


TEXT = words(10 * LENGTH + 20)
EDITS: dict[str, tuple[list[str], int]] = {
    "a tail is appended": ([*TEXT, *words(90, 1)], 10),
    "one word is appended": ([*TEXT, "day"], 10),
    "a word in segment 3": ([*TEXT[: 3 * LENGTH + 5], "way", "over", "way", *TEXT[3 * LENGTH + 8 :]], 3),
    "a word inserted in segment 7": ([*TEXT[: 7 * LENGTH + 1], "way", "over", "way", *TEXT[7 * LENGTH + 1 :]], 7),
    "the first word": (["way", "over", "way", *TEXT[3:]], 0),
    "cut within segment 4": (TEXT[: 4 * LENGTH + 30], 4),
    "cut at a boundary": (TEXT[: 4 * LENGTH], 4),
}


@pytest.mark.parametrize("edit", EDITS)
def test_only_what_follows_the_change_is_encoded(stored: Corpus, encoder: CountedEncoder, edit: str) -> None:
    text, n_kept = EDITS[edit]
    first = vectors(open_night(stored.store.root))
    stored.write(text)
    second, [record] = stored.night(encoder)
    n_left = len(text) - n_kept * LENGTH
    assert encoder.calls == ([[(n_left, n_kept * 50)]] if n_left else [])
    assert (record.n_documents, record.n_tokens, record.n_encoded_tokens) == (1, len(text), n_left)

    found, kept = vectors(second), n_kept * 50
    assert found[:kept].tobytes() == first[:kept].tobytes()
    assert_close(found, full(encoder, text))
    if n_left:
        assert found[kept : kept + 50].tobytes() != first[kept : kept + 50].tobytes()
    [document] = second.documents()
    assert (document.n_tokens, document.n_segments) == (len(text), -(-len(text) // LENGTH))
    assert second.text(document.doc_id) == " ".join(text)
    assert stored.store.dataset("segments").count_rows() == document.n_segments  # and no row of the older version


def test_the_rows_are_those_of_a_first_encoding(stored: Corpus, corpus: Corpus, encoder: CountedEncoder) -> None:
    columns = ["segment_index", "prefix_hash", "token_start", "token_end", "char_start", "char_end"]
    tables = []
    for item in (stored, corpus):
        item.write([*TEXT, *words(90, 1)])
        item.night(encoder)
        tables.append(item.store.dataset("segments").to_table(columns=columns).sort_by("segment_index").to_pylist())
    assert tables[0] == tables[1]


def test_a_text_that_grows_every_night_stays_as_close(corpus: Corpus, encoder: CountedEncoder) -> None:
    """The worst case of rounding: every segment follows a prefix from the store."""
    for n_segments in range(1, 9):
        corpus.write(TEXT[: n_segments * LENGTH])
        night, _ = corpus.night(encoder)
    assert [call for [call] in encoder.calls] == [(LENGTH, 50 * before) for before in range(8)]
    assert_close(vectors(night), full(encoder, TEXT[: 8 * LENGTH]))


def test_an_encoder_that_carries_only_the_newest_vectors(corpus: Corpus, tmp_path: Path) -> None:
    folder = shutil.copytree(locate_checkpoint("reference"), tmp_path / "rmt")
    config = json.loads((folder / "config.json").read_text()) | {"accumulate_summary": False}
    (folder / "config.json").write_text(json.dumps(config))
    encoder = CountedEncoder(load_encoder(str(folder), segment_length=LENGTH))
    assert not encoder.accumulate
    corpus.write(TEXT)
    first, _ = corpus.night(encoder)
    corpus.write([*TEXT, *words(30, 1)])
    second, [record] = corpus.night(encoder)
    assert record.n_encoded_tokens == 20 + 30
    assert vectors(second)[:500].tobytes() == vectors(first)[:500].tobytes()
    assert_close(vectors(second), full(encoder, [*TEXT, *words(30, 1)]))


def test_a_touched_file_and_another_encoder(stored: Corpus, encoder: CountedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.write(TEXT)  # another time of modification
    _, [record] = stored.night(encoder)
    assert (encoder.calls, record.n_unchanged, record.n_documents) == ([], 1, 0)

    other = CountedEncoder(load_encoder("reference", dtype="bfloat16", segment_length=LENGTH))
    looked_up: list[dict[str, KnownDocument]] = []
    monkeypatch.setattr(StoredSegments, "find", lambda self, known: looked_up.append(known) or {})
    _, [record] = stored.night(other)
    assert looked_up == [{}]  # nor is the store asked
    assert other.calls == [[(660, 0)]]
    assert record.n_encoded_tokens == record.n_tokens == 660


def test_rows_of_a_container_that_change_their_group_or_grow(corpus: Corpus, encoder: CountedEncoder) -> None:
    def write(**rows: tuple[str, list[str]]) -> None:
        lines = [json.dumps({"id": name, "group": group, "text": " ".join(text)}) for name, (group, text) in rows.items()]
        (corpus.folder / "rows.jsonl").write_text("\n".join(lines))

    moved, grown, same = words(150, 5), words(100, 6), words(90, 7)
    write(moved=("north", moved), grown=("north", grown), same=("north", same))
    first, _ = corpus.night(encoder)
    encoder.calls.clear()
    write(moved=("south", moved), grown=("north", [*grown, *words(100, 8)]), same=("north", same), new=("south", moved))
    second, [record] = corpus.night(encoder)

    assert encoder.calls[0] == [(136, 50)]  # the new one has the text of a stored one, and so its vectors
    assert (record.n_documents, record.n_unchanged, record.n_tokens, record.n_encoded_tokens) == (3, 1, 500, 136)
    assert {row.doc_id: row.group_id for row in second.documents()} == {"moved": "south", "grown": "north", "same": "north", "new": "south"}
    assert second.summaries("moved").tobytes() == first.summaries("moved").tobytes()  # its remainder too
    assert second.summaries("grown")[:50].tobytes() == first.summaries("grown")[:50].tobytes()
    assert_close(second.summaries("grown"), full(encoder, [*grown, *words(100, 8)]))


def test_a_refused_document_costs_its_neighbours_nothing(corpus: Corpus, encoder: CountedEncoder) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        corpus.write(TEXT[: 2 * LENGTH], name)
    corpus.night(encoder)
    for name in ("a.txt", "b.txt", "c.txt"):
        corpus.write(TEXT[: 3 * LENGTH], name)
    plan, job = corpus.plan(encoder)
    shard = read_planned(plan.shards[0], job)
    bad = replace(shard.documents[1], token_ids=np.append(shard.documents[1].token_ids[: 2 * LENGTH], np.int32(10**6)))
    result = corpus.compress(replace(shard, documents=[shard.documents[0], bad, shard.documents[2]]), encoder)
    assert [(item.document.title, item.n_encoded_tokens) for item in result.documents] == [("a", LENGTH), ("c", LENGTH)]
    assert [(item.uri, item.code) for item in result.rejections] == [(bad.document.uri, "not_encodable")]


def test_vectors_kept_for_another_encoder_are_not_used(stored: Corpus, encoder: CountedEncoder) -> None:
    stored.write([*TEXT, "day"])
    plan, job = stored.plan(encoder)
    shard = read_planned(plan.shards[0], job)
    assert len(shard.documents[0].kept.prefix_hashes) == 10
    other = CountedEncoder(load_encoder("reference", segment_length=2 * LENGTH))
    [result] = stored.compress(shard, other).documents
    assert (result.n_encoded_tokens, len(result.segments)) == (661, 6)


def test_only_kept_rows_are_read(stored: Corpus, encoder: CountedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = StoredSegments.summaries

    def summaries(self: StoredSegments, row_ids: list[int]) -> dict[int, np.ndarray]:
        read.append(len(row_ids))
        return original(self, row_ids)

    monkeypatch.setattr(StoredSegments, "summaries", summaries)
    stored.write([*TEXT[: 3 * LENGTH], "way", "over", "way"])
    stored.night(encoder)
    assert read == [3]


def test_the_vectors_are_not_opened_for_new_texts(corpus: Corpus, encoder: CountedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.write(TEXT)
    plan, job = corpus.plan(encoder)
    opened = []
    original = Store.dataset
    monkeypatch.setattr(Store, "dataset", lambda self, name, version=None: opened.append(name) or original(self, name, version))
    [document] = read_planned(plan.shards[0], job).documents
    assert document.kept is None
    assert opened == ["documents"]


Damage = Callable[[Corpus], None]


def forget_versions(corpus: Corpus) -> None:
    """What a careless maintenance job does to the version that a plan was made with."""
    table = corpus.store.dataset("segments")
    table.delete("segment_index = 99")
    table.delete("segment_index = 5")
    corpus.store.dataset("segments").cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)


def remove_files(corpus: Corpus) -> None:
    for path in (Path(corpus.store.root) / "segments.lance" / "data").iterdir():
        path.unlink()


@pytest.mark.parametrize("damage", [forget_versions, remove_files])
def test_a_plans_version_that_cannot_be_read_costs_time_only(
    stored: Corpus, encoder: CountedEncoder, caplog: pytest.LogCaptureFixture, damage: Damage
) -> None:
    for name in stored.store.dataset("segments").tags.list():
        stored.store.dataset("segments").tags.delete(name)
    stored.write([*TEXT, "day"])
    plan, job = stored.plan(encoder)
    damage(stored)
    with caplog.at_level(logging.WARNING):
        [record] = stored.encode(plan, job, encoder)
    assert record.n_encoded_tokens == record.n_tokens == 661
    assert "stored segments cannot be read" in caplog.text


def test_a_missing_row_costs_time_only(stored: Corpus, encoder: CountedEncoder, caplog: pytest.LogCaptureFixture) -> None:
    stored.store.dataset("segments").delete("segment_index = 5")
    stored.write([*TEXT, "day"])
    with caplog.at_level(logging.WARNING):
        night, [record] = stored.night(encoder)
    assert record.n_encoded_tokens == 661
    assert "11 segments are recorded" in caplog.text
    assert vectors(night).tobytes() == full(encoder, [*TEXT, "day"]).tobytes()


def test_a_change_after_the_plan_is_not_seen(stored: Corpus, encoder: CountedEncoder) -> None:
    stored.write([*TEXT, "day"])
    plan, job = stored.plan(encoder)
    stored.store.dataset("segments").delete("segment_index >= 0")
    [record] = stored.encode(plan, job, encoder)
    assert record.n_encoded_tokens == 21
