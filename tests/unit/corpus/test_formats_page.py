"""docs/formats.md and the readers say the same. Run: pytest tests/unit/corpus/test_formats_page.py"""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks import formats_table, text_recall
from benchmarks.recall.cases import words
from benchmarks.recall.letter_files import letter_files
from benchmarks.recall.office_files import office_files
from benchmarks.recall.readers import ours
from benchmarks.recall.text_files import text_files
from lloco_core.corpus.formats.registry import FORMATS

HERE = {
    "docx",
    "html",
    "pdf",
    "txt",
    "csv",
    "tsv",
    "json",
    "jsonl",
    "parquet",
    "ipynb",
    "pptx",
    "xlsx",
    "eml",
    "mht",
    "mhtml",
    "epub",
    "rtf",
    "md",
}


def test_the_tables_are_those_of_the_code():
    page = formats_table.DOCS.read_text()
    assert formats_table.updated(page) == page, "run `make readme-tables`"
    assert text_recall.docs_block(json.loads(text_recall.RESULT.read_text())) in page


def test_every_suffix_belongs_to_one_format_that_has_a_reader():
    suffixes = Counter(suffix for found in FORMATS for suffix in found.suffixes)
    assert set(suffixes.values()) == {1}
    assert all(sum(map(bool, (found.read, found.rows, found.either))) == 1 for found in FORMATS)


@pytest.mark.parametrize("make", [text_files, office_files, letter_files])
def test_no_known_word_is_lost_or_added(tmp_path, make):
    wrong = {}
    for case in make():
        if case.format in HERE:
            (tmp_path / case.name).write_bytes(case.data)
            known, given = words(case.text), words(ours(tmp_path / case.name))
            may_add = words(case.may_add)
            lost, added = known - given, [word for word in given - known if word not in may_add]
            if lost or added:
                wrong[case.name] = (lost, added)
    assert wrong == {}


def test_the_benchmark_has_enough_files_and_ours_is_behind_no_reader():
    rows = json.loads(text_recall.RESULT.read_text())["files"]
    assert len(rows) >= 60
    behind = {
        (kind, name): (values["ours"], other)
        for kind, values in text_recall.by_format(rows).items()
        if kind in HERE
        for name, other in values.items()
        if other[0] > values["ours"][0]
    }
    assert behind == {}
