"""What a night has to do: the listed corpus against the store."""

import os

import pytest
import zstandard

from lloco_core.config import CorpusConfig, StoreConfig
from lloco_core.corpus.reading import read_documents
from lloco_core.errors import ConfigurationError, StorageError
from lloco_core.objects import local
from lloco_core.planning import plan_corpus
from lloco_core.types import CompressedShard, Document, Rejection
from tests.unit.store.fixtures import ENCODER, compressed, ingest, new_store


@pytest.fixture
def night(tmp_path):
    return Night(tmp_path)


class Night:
    """A small corpus and a store; `run` does what an ingest does, without an encoder."""

    def __init__(self, folder):
        self.corpus = CorpusConfig(uri=str(folder / "corpus"))
        self.store = new_store(str(folder / "store"))
        self.folder = folder / "corpus"

    def write(self, **files):
        for name, text in files.items():
            path = self.folder / "g" / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def plan(self, encoder=ENCODER, layout=None, **corpus):
        layout = layout or StoreConfig(uri=self.store.root)
        return plan_corpus(self.corpus.model_copy(update=corpus), layout, self.store, encoder)

    def run(self, encoder=ENCODER, **corpus):
        plan = self.plan(encoder, **corpus)
        shards = [self._encode(item) for item in plan.shards]
        if shards:
            ingest(self.store, *shards, run_id=f"run-of-{plan.plan_id}", encoder=encoder)
        return plan

    def _encode(self, shard):
        found = [item for source in shard.objects for item in read_documents(source, self.corpus)]
        documents = [compressed(item) for item in found if isinstance(item, Document)]
        return CompressedShard(shard, documents, [], [item for item in found if isinstance(item, Rejection)], 0.1)


def names(plan):
    return [source.relative_path for shard in plan.shards for source in shard.objects]


def test_everything_is_new_then_nothing_is(night):
    night.write(a="one", b="two", c="three")
    first = night.run()
    assert names(first) == ["g/a.txt", "g/b.txt", "g/c.txt"]
    assert (first.n_objects, first.n_unchanged, first.n_bytes) == (3, 0, 11)
    again = night.plan()
    assert (len(again.shards), again.n_objects, again.n_unchanged, again.n_stored_documents) == (0, 3, 3, 3)
    assert again.describe() == "3 of 3 objects are stored with this encoder, 0 documents in quarantine; 0 shards, 0.0 MB to read"


def test_only_new_and_changed_objects_are_planned(night):
    night.write(a="one", b="two")
    night.run()
    night.write(b="two and more", c="new")
    plan = night.plan()
    assert names(plan) == ["g/b.txt", "g/c.txt"]
    assert (plan.n_objects, plan.n_unchanged) == (3, 1)
    [known] = plan.shards[0].known.values()
    assert (known.group, known.encoder_fingerprint, known.n_tokens, known.n_segments) == ("g", ENCODER, 1, 1)


def test_a_touched_file_is_read_again_with_what_is_known(night):
    night.write(a="one")
    night.run()
    os.utime(night.folder / "g" / "a.txt", (1, 1))
    [shard] = night.plan().shards
    [found] = read_documents(shard.objects[0], night.corpus)
    assert shard.known[found.doc_id].content_hash == found.content_hash


def test_plans_have_the_same_name_until_something_changes(night):
    night.write(a="one", b="two")
    first, again = night.plan(), night.plan()
    assert first == again
    assert [shard.shard_id for shard in first.shards] == [f"{first.plan_id}-000000"]
    assert night.plan(encoder="other").plan_id != first.plan_id
    night.write(b="two more")
    assert night.plan().plan_id != first.plan_id


def test_a_plan_for_the_same_objects_gets_a_new_name_after_a_commit(night, monkeypatch):
    """Else its shard records would be those of the earlier plan, and nothing would be encoded."""
    monkeypatch.setattr(local, "local_etag", lambda status: f"{status.st_mtime_ns:x}-{status.st_size:x}")  # as on S3: it comes back
    night.write(a="one")
    first = night.run()
    night.write(a="changed")
    night.run()
    night.write(a="one")
    os.utime(night.folder / "g" / "a.txt", ns=(0, int(first.shards[0].objects[0].etag.partition("-")[0], 16)))
    again = night.plan()
    assert again.shards[0].objects == first.shards[0].objects
    assert again.plan_id != first.plan_id


def test_shards_keep_both_limits(night):
    night.write(**{f"d{number}": "x" * size for number, size in enumerate([10, 10, 10, 50, 5, 5, 5, 5])})

    def sizes(**limits):
        plan = night.plan(layout=StoreConfig(uri=night.store.root, **limits))
        assert names(plan) == [f"g/d{number}.txt" for number in range(8)]
        assert [shard.shard_id for shard in plan.shards] == [f"{plan.plan_id}-{number:06d}" for number in range(len(plan.shards))]
        return [[source.size for source in shard.objects] for shard in plan.shards]

    assert sizes(shard_objects=3) == [[10, 10, 10], [50, 5, 5], [5, 5]]
    # four bytes a token, rounded up; a large object has a shard of its own
    assert sizes(shard_tokens=6) == [[10, 10], [10], [50], [5, 5, 5], [5]]
    assert sizes(shard_tokens=6, shard_objects=2) == [[10, 10], [10], [50], [5, 5], [5, 5]]


def test_another_encoder_plans_everything_again(night):
    night.write(a="one", b="two")
    night.run()
    plan = night.run(encoder="encoder-2")
    assert names(plan) == ["g/a.txt", "g/b.txt"]
    assert plan.n_unchanged == 0
    assert len(night.plan(encoder="encoder-2").shards) == 0
    assert names(night.plan(encoder=ENCODER)) == ["g/a.txt", "g/b.txt"]  # back again: the old vectors are gone


def test_quarantined_objects_are_left_until_they_change(night):
    night.write(good="one", bad="   ")
    night.run()
    plan = night.plan()
    assert (len(plan.shards), plan.n_unchanged, plan.n_quarantined) == (0, 1, 1)
    assert names(night.plan(retry_quarantined=True)) == ["g/bad.txt"]
    assert night.plan(encoder="encoder-2").n_quarantined == 1  # no encoder makes an empty file readable
    night.write(bad="readable")
    assert names(night.plan()) == ["g/bad.txt"]
    night.run()
    assert (night.plan().n_unchanged, night.plan().n_quarantined) == (2, 0)


def test_a_stored_document_that_became_unreadable_is_not_read_every_night(night):
    night.write(a="one", b="two")
    night.run()
    night.write(b=" ")
    assert names(night.run()) == ["g/b.txt"]
    plan = night.plan()
    assert (len(plan.shards), plan.n_unchanged, plan.n_quarantined) == (0, 1, 1)
    assert names(night.plan(retry_quarantined=True)) == ["g/b.txt"]


def test_a_container_with_bad_rows_is_stored(night):
    night.folder.mkdir()
    (night.folder / "rows.jsonl").write_text('{"text": "one"}\nnot json\n{"text": "three"}\n')
    night.run(group_by="auto")
    plan = night.plan()
    assert (len(plan.shards), plan.n_objects, plan.n_stored_documents, plan.n_quarantined) == (0, 1, 2, 1)
    [shard] = night.plan(encoder="encoder-2").shards
    assert len(shard.known) == 2
    assert len(night.plan(retry_quarantined=True).shards) == 1


def test_stored_versions_are_collected_slice_by_slice(night, monkeypatch):
    monkeypatch.setattr("lloco_core.planning.diff.SLICE", 2)
    night.write(**{f"d{number}": f"text {number}" for number in range(5)})
    night.run()
    plan = night.plan(encoder="encoder-2")
    assert names(plan) == [f"g/d{number}.txt" for number in range(5)]
    hashes = [next(iter(read_documents(source, night.corpus))).content_hash for shard in plan.shards for source in shard.objects]
    assert [known.content_hash for shard in plan.shards for known in shard.known.values()] == hashes


def test_errors_of_the_listing_are_its_own(night, tmp_path):
    """DuckDB, which reads the listing, would pass on a text only."""
    night.write(a="one")
    with pytest.raises(ConfigurationError, match="1 files listed, none kept"):
        night.plan(include=("*.pdf",))
    with pytest.raises(StorageError, match="does not exist; check the path"):
        night.plan(uri=str(tmp_path / "nowhere"))


def test_rows_that_were_not_read_count_as_documents_in_quarantine(night):
    night.folder.mkdir()
    packed = zstandard.compress(b"".join(b'{"text": "%s"}\n' % os.urandom(1_000).hex().encode() for _ in range(600)))
    (night.folder / "rows.jsonl.zst").write_bytes(packed[: len(packed) // 2])
    night.run(max_tokens=10**6)
    rows = night.store.dataset("quarantine").to_table().to_pylist()
    [damage] = [row for row in rows if row["code"] == "archive_damaged"]
    assert damage["n_documents"] > 200
    assert night.plan().n_quarantined == damage["n_documents"]
    [shard] = [row for row in night.store.dataset("ledger").to_table().to_pylist() if row["entry"] == "shard"]
    assert shard["n_quarantined"] == damage["n_documents"]
