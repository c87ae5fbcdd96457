"""The benchmark of scale: its document says what its result files say, and it measures what it names."""

import json

import pytest

from benchmarks import scale_report
from benchmarks.commits import commit_into
from benchmarks.planning import fill_store, plan_inventory, plan_listing, write_inventory
from benchmarks.scale import RESULTS, SIZES


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_REGION", "none")


def test_the_document_has_the_figures_of_the_result_files():
    text = scale_report.DOCS.read_text()
    assert text.split(scale_report.START)[1].split(scale_report.END)[0].strip() == scale_report.docs_block(RESULTS)


def test_result_files_are_of_a_million_objects_in_bounds():
    [result] = [json.loads(path.read_text()) for path in RESULTS.glob("scale-2-cores.json")]
    rows = {(row["what"], row["objects"]): row for row in result["planning"]}
    assert {objects for _, objects in rows} == set(SIZES)
    assert rows["first", 1_000_000]["seconds"] < 300
    assert rows["unchanged", 1_000_000]["seconds"] < 60
    assert max(row["peak_mb"] for row in rows.values()) < 2_000
    for what in scale_report.PLANS:
        assert rows[what, 1_000_000]["seconds"] / rows[what, 10_000]["seconds"] < 100


def test_plans_are_of_the_objects_that_they_are_named_after(tmp_path):
    stored, listed, changed = (str(tmp_path / name) for name in ("store", "listed.parquet", "changed.parquet"))
    write_inventory(listed, 300)
    write_inventory(changed, 300, is_changed=True)
    fill_store(stored, 300)

    def counts(found):
        return found["objects"], found["unchanged"], found["shards"]

    assert counts(plan_inventory(stored, listed)) == (300, 300, 0)
    assert counts(plan_inventory(stored, changed)) == (300, 297, 1)
    assert counts(plan_inventory(stored, listed, "encoder-2")) == (300, 0, 5)
    assert counts(plan_inventory(str(tmp_path / "new"), listed)) == counts(plan_listing(str(tmp_path / "new-too"), 300)) == (300, 0, 5)


def test_commits_replace_what_is_stored(tmp_path):
    assert commit_into(str(tmp_path / "store"), 2000, 400)["files"] == 5  # raises when documents were added instead of replaced
