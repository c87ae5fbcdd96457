"""What was forgotten does not come back with the next ingest, although it is still in the corpus."""

import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.sources import list_corpus
from lloco_core.pipeline import read_shard
from lloco_core.store.forgetting.forget import preview
from lloco_core.store.forgetting.forgotten import forgotten_names, name_hash
from lloco_core.store.forgetting.purge import forget_and_finish
from lloco_core.store.nights import publish_night
from lloco_core.store.read import open_night
from lloco_core.types import Shard
from tests.unit.finetune.tiny import tiny_tokenizer
from tests.unit.store.fixtures import ENCODER, rows
from tests.unit.test_planning import Night, names

ROWS = '{"text": "first row"}\n{"text": "second row"}\n{"text": "third row"}\n'


@pytest.fixture
def night(tmp_path):
    night = Night(tmp_path)
    night.write(a="one", b="two")
    (night.folder / "g" / "rows.jsonl").write_text(ROWS)
    night.run()
    publish_night(night.store, "night-1")
    return night


def forget(night, wanted):
    forget_and_finish(night.store, [preview(night.store, wanted)])


def test_a_forgotten_object_is_not_planned_again(night):
    forget(night, "g/a.txt")
    assert names(night.plan()) == []
    night.write(a="changed", b="changed too")
    plan = night.run()
    assert names(plan) == ["g/b.txt"]
    publish_night(night.store, "night-2")
    assert sorted(row.uri.rpartition("/")[2] for row in open_night(night.store.root).documents()) == [
        "b.txt",
        "rows.jsonl#row-0",
        "rows.jsonl#row-1",
        "rows.jsonl#row-2",
    ]


def test_a_forgotten_row_of_a_container_is_not_read_again(night):
    forget(night, "rows.jsonl#row-1")
    assert len(rows(night.store, "documents")) == 4
    [container] = [source for source in list_corpus(night.corpus) if source.uri.endswith(".jsonl")]
    assert names(night.plan()) == []
    found = read_shard(Shard("p", "p-0", (container,)), night.corpus, tiny_tokenizer(), ENCODER, None, forgotten_names(night.store.objects))
    assert [item.document.text for item in found.documents] == ["first row", "third row"]
    assert found.rejections == []


def test_an_id_stays_forgotten_under_another_name(tmp_path, night):
    """The corpus gives the id, and the text lies elsewhere now."""
    manifest = tmp_path / "list.jsonl"
    manifest.write_text('{"uri": "corpus/g/b.txt", "doc_id": "letter-7"}\n')
    corpus = CorpusConfig(uri=str(manifest))
    [source] = list_corpus(corpus)
    shard = Shard("p", "p-0", (source,))
    assert [item.document.doc_id for item in read_shard(shard, corpus, tiny_tokenizer(), ENCODER).documents] == ["letter-7"]
    forgotten = frozenset({name_hash("letter-7")})
    assert read_shard(shard, corpus, tiny_tokenizer(), ENCODER, forgotten=forgotten).documents == []
