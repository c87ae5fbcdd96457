"""The benchmarks of parsing and compaction: the page says what their result files say, and parsing is measured as named."""

from __future__ import annotations

from types import ModuleType

import pytest

from benchmarks import compaction, parsing


@pytest.mark.parametrize("module", [compaction, parsing], ids=["compaction", "parsing"])
def test_the_table_is_that_of_the_result_files(module: ModuleType):
    table = module.DOCS.read_text().split(module.START)[1].split(module.END)[0].strip()
    assert table
    assert table == module.docs_block()


def test_parsing_is_measured_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parsing, "OBJECTS", 3)
    monkeypatch.setattr(parsing, "STARTS", 1)
    start, each, pdf = parsing.measure(pages=3)
    assert 0 < start["seconds"] < start["seconds_to_first_pdf"]
    assert each["objects"] == 3
    assert (pdf["pages"], pdf["characters"] > 3 * 60 * 70) == (3, True)
    assert pdf["peak_mb"] > 10
