"""The demo corpus: real text, every format, exported twice. Run: pytest tests/unit/corpus/test_demo.py"""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.demo import export_demo_corpus
from lloco_core.corpus.reading import read_documents
from lloco_core.corpus.sources import list_corpus
from lloco_core.types import Document


def documents(root: Path) -> list[Document]:
    config = CorpusConfig(uri=str(root), id_field=None)
    found = [result for source in list_corpus(config) for result in read_documents(source, config)]
    assert [result for result in found if not isinstance(result, Document)] == []
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    root = tmp_path_factory.mktemp("demo")
    return root, export_demo_corpus(root)


def test_every_exported_document_is_readable(demo):
    root, n_exported = demo
    found = documents(root)
    assert len(found) == n_exported >= 60
    assert {document.group for document in found} == {"python-reference", "distributions"}
    assert {"".join(path.suffixes[-2:]) if path.suffix in (".gz", ".zst") else path.suffix for path in root.glob("*/*")} == {
        *(".txt", ".md", ".html", ".docx", ".pdf", ".jsonl", ".jsonl.zst", ".txt.gz")
    }


def test_limits_hold(demo, tmp_path):
    found = documents(demo[0])
    assert 120_000 < sum(len(document.text) for document in found) <= 150_000
    export_demo_corpus(tmp_path, max_chars_per_document=2_000, max_total_chars=30_000)
    small = documents(tmp_path)
    assert max(len(document.text) for document in small) <= 2_000
    assert 15_000 < sum(len(document.text) for document in small) <= 30_000


def test_text_is_that_of_the_interpreter(demo):
    found = {document.title: document for document in documents(demo[0]) if document.group == "python-reference"}
    words = {title: document.text.split() for title, document in found.items()}
    assert all(text == topics[title].split() for title, text in words.items())


def test_pages_have_boilerplate_that_reading_removes(demo):
    page = next((demo[0] / "python-reference").glob("*.html"))
    assert "<nav>" in page.read_text()
    assert "Stichting Mathematisch Centrum" in page.read_text()
    assert not any("Stichting Mathematisch Centrum" in document.text for document in documents(demo[0]) if document.uri.endswith(".html"))


def test_exporting_again_touches_nothing(demo):
    root, n_exported = demo
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    victim = min(root.rglob("*.docx"))
    content = victim.read_bytes()
    victim.write_bytes(b"damaged")
    assert export_demo_corpus(root) == n_exported
    assert victim.read_bytes() == content
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert {path for path in before if before[path] != after[path]} == {victim, victim.parent}
