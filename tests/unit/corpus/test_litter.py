"""Files that are never documents are ignored and counted. Run: pytest tests/unit/corpus/test_litter.py"""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.csv
import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.litter import is_hidden, is_litter
from lloco_core.corpus.patterns import PathFilter
from lloco_core.corpus.sources import list_corpus
from lloco_core.errors import ConfigurationError
from lloco_core.planning.listing import listing_batches
from tests.unit.plans import nothing_planned

LITTER = ["Thumbs.db", "a/THUMBS.DB", "desktop.ini", "a/_SUCCESS", "_committed_123", "a/_started_9", "data_$folder$", "part-0.parquet.crc"]
LITTER += ["__MACOSX/a.txt", "x/__MACOSX/y/a.txt", "$RECYCLE.BIN/a.txt", "t/_temporary/0/part.json", "t/_delta_log/0000.json", "Icon\r"]
HIDDEN = [".DS_Store", "a/._b.txt", "~$report.docx", ".git/config", "a/~$b/c.txt"]
KEPT = [
    "a.txt",
    "_success.txt",
    "thumbs.db.txt",
    "MACOSX/a.txt",
    "success",
    "my_folder$/a.txt",
    "a~$.txt",
    "crc/a.txt",
    "_metadata.json",
    "../x",
]


@pytest.mark.parametrize("path", LITTER)
def test_litter(path):
    assert is_litter(path)
    assert not is_hidden(path)


@pytest.mark.parametrize("path", HIDDEN)
def test_hidden(path):
    assert is_hidden(path)


@pytest.mark.parametrize("path", KEPT)
def test_documents(path):
    assert not is_hidden(path)
    assert not is_litter(path)


def test_a_folder_is_listed_without_them_and_counts_them(folder):
    root = folder(dict.fromkeys(["a.txt", "x/b.txt", *LITTER[:11], *HIDDEN], b"x"))
    config = CorpusConfig(uri=str(root), exclude=("x/**",))
    paths = PathFilter(config)
    assert [source.relative_path for source in list_corpus(config, paths)] == ["a.txt"]
    assert paths.n_ignored == len(LITTER[:11]) + len(HIDDEN)


def test_a_corpus_of_nothing_else_says_so(folder):
    root = folder({"Thumbs.db": b"x", ".DS_Store": b"x"})
    with pytest.raises(ConfigurationError, match="0 files listed, none kept, 2 ignored as hidden, markers, or litter"):
        list(list_corpus(CorpusConfig(uri=str(root))))


def test_an_inventory_counts_them(tmp_path):
    names = ["a.txt", *LITTER[:8], *HIDDEN]
    columns = {"key": names, "size": [1] * len(names), "etag": ["e"] * len(names)}
    pyarrow.csv.write_csv(pa.table(columns), tmp_path / "listing.csv")
    config = CorpusConfig(uri=str(tmp_path), inventory=str(tmp_path / "listing.csv"))
    paths = PathFilter(config)
    assert listing_batches(config, paths=paths).read_all()["relative_path"].to_pylist() == ["a.txt"]
    assert paths.n_ignored == 8 + len(HIDDEN)


def test_a_manifest_may_name_a_hidden_file_but_no_litter(folder):
    root = folder(dict.fromkeys(["a.txt", ".b.txt", "_SUCCESS"], b"x"))
    (root / "list.jsonl").write_text("\n".join(json.dumps({"uri": name}) for name in ("a.txt", ".b.txt", "_SUCCESS")))
    config = CorpusConfig(uri=f"{root}/list.jsonl")
    paths = PathFilter(config)
    assert sorted(source.relative_path for source in list_corpus(config, paths)) == [".b.txt", "a.txt"]
    assert paths.n_ignored == 1


def test_plan_and_report_show_the_count():
    import dataclasses

    plan = dataclasses.replace(nothing_planned(), n_ignored=7)
    assert dict(plan.facts())["hidden files, markers, and litter ignored"] == 7
    assert "7 hidden files, markers, and litter ignored" in plan.describe()
    assert "ignored" not in nothing_planned().describe()
