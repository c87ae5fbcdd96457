"""What can be asked of a store: one document of many, a group by the name of its folder, and which questions are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lloco_core.answer.ask import Asker
from lloco_core.cli import app
from lloco_core.config import NightlyConfig
from lloco_core.corpus.groups import group_name
from lloco_core.errors import LlocoError, QuestionError, StorageError
from lloco_core.store.index import build_indices
from lloco_core.store.nights import publish_night
from lloco_core.store.runs import save_config
from lloco_core.store.tables import Store
from tests.unit.store.fixtures import DIMENSION, document, ingest, new_store, shard

GROUPS = ("O'Brien & Sons", "Größe", "契約書", "plain", "cluster-1", "a b")
TEXT = "pump pressure valve"
MANY = 1200


class OneVector:
    """Finds every passage equally near."""

    def embed(self, texts: list[str]) -> np.ndarray:
        return np.full((len(texts), DIMENSION), 0.5, np.float32)


class Echo:
    """Answers with the number of vectors that it was given."""

    def answer(self, question: str, vectors: np.ndarray, adapter: Path | None = None) -> str:
        return f"{len(vectors)} vectors"


def publish(store: Store, night: str, **retrieval: int) -> None:
    config = NightlyConfig.model_validate({"corpus": {"uri": "x"}, "store": {"uri": store.root}, "retrieval": retrieval})
    save_config(store.objects, night, config)
    publish_night(store, night)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of many documents with the same words; the documents of one night wait to be switched to."""
    store = new_store(str(tmp_path_factory.mktemp("large") / "store"))
    waiting = [document("waiting.txt", f"{TEXT} waiting")]
    groups = [document(f"{name}.txt", f"{TEXT} of {name}", group=group_name(name)) for name in GROUPS]
    ingest(store, shard("p1", 0, [*(document(f"{number}.txt", TEXT) for number in range(MANY)), *groups, *waiting]))
    store.dataset("documents").update({"status": "'staged'"}, where="uri LIKE '%waiting%'")
    build_indices(store)
    publish(store, "night-1")
    return store


@pytest.fixture
def asker(large: Store) -> Asker:
    asker = Asker(large.root)
    asker.embedder, asker.answerer = OneVector(), Echo()
    return asker


def test_every_document_of_a_large_store_can_be_asked(asker: Asker):
    for number in range(0, MANY, 97):
        doc_id = document(f"{number}.txt", TEXT).doc_id
        answer = asker.ask("pump pressure", doc_id=doc_id)
        assert {source.doc_id for source in answer.sources} == {doc_id}
        assert asker.ask("nothing of its words", doc_id=doc_id).sources[0].doc_id == doc_id


@pytest.mark.parametrize("name", ["absent", "", "' OR 1=1 --", "文"])
def test_a_document_that_is_not_there_is_named(asker: Asker, name: str):
    with pytest.raises(StorageError, match=r"has no document .*lloco inspect"):
        asker.ask("pump", doc_id=name)


def test_a_document_that_waits_is_not_there(asker: Asker):
    with pytest.raises(StorageError, match="has no document"):
        asker.ask("pump", doc_id=document("waiting.txt", "").doc_id)


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("typed", ["{}", " {}", "{}/", "slug"])
def test_a_group_is_known_by_its_name_and_by_that_of_its_folder(asker: Asker, name: str, typed: str):
    answer = asker.ask("pump", group=group_name(name) if typed == "slug" else typed.format(name))
    assert (answer.group, answer.sources[0].title) == (group_name(name), f"{name}.txt")


def test_a_group_that_is_not_there_is_named_with_those_that_are(asker: Asker):
    with pytest.raises(StorageError, match=r"has no group 'OBrien'; groups are a, .*plain"):
        asker.ask("pump", group="OBrien")


def test_a_document_of_another_group_does_not_match(asker: Asker):
    with pytest.raises(StorageError, match="no passage"):
        asker.ask("pump", group="plain", doc_id=document("0.txt", TEXT).doc_id)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("", "is empty"),
        ("  \t\n", "is empty"),
        ("\u3000\u200b\ufeff", "is empty"),
        ("\x00\x00", "is empty"),
        ("\ud83d alone", "character 1 .* surrogate"),
        ("what is \udcff?", "character 9 .* surrogate"),
        ("pump " * 10_000, "50,000 characters, allowed are 8,000"),
        ("a" * 100_000, "100,000 characters"),
        ("水" * 8001, "8,001 characters"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_loaded(large: Store, question: str, said: str):
    asker = Asker(large.root)
    with pytest.raises(QuestionError, match=said) as refusal:
        asker.ask(question)
    assert len(str(refusal.value)) < 200
    assert not {"encoder", "embedder", "answerer"} & set(vars(asker))
    try:  # the command says the same; the runner cannot pass on a lone surrogate
        with pytest.raises(LlocoError, match=said):
            CliRunner().invoke(app, ["ask", question, "--store", large.root], catch_exceptions=False)
    except UnicodeEncodeError:
        assert "surrogate" in said


@pytest.mark.parametrize("question", ["?", "x", "\x00pump\x00", "a" * 8000, "水" * 8000, "은행에서 " * 1600, "e\u0301" * 4000])
def test_any_other_question_is_answered(asker: Asker, question: str):
    assert asker.ask(question).text.endswith(" vectors")


def test_the_length_is_an_option_of_the_night(tmp_path: Path):
    store = new_store(str(tmp_path / "store"))
    ingest(store, shard("p1", 0, [document("one.txt", TEXT)]))
    publish(store, "night-1", question_chars=5)
    asker = Asker(store.root)
    asker.embedder, asker.answerer = OneVector(), Echo()
    assert asker.ask("pump?").text == "2 vectors"
    with pytest.raises(QuestionError, match=r"6 characters, allowed are 5.*retrieval\.question_chars"):
        asker.ask("pumps?")
