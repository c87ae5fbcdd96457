"""An id that two objects claim, when the one that has it gives it up: the other's document is read in the same night.

Run: pytest tests/unit/changes/test_freed_ids.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lloco_core.distributed import ingest as driver
from lloco_core.store.read import open_night
from tests.crash.drill import picture
from tests.crash.loop import ingest
from tests.unit.changes.observed import assert_whole, encoded, forget_log

OPTIONS = {"id_field": "id"}


class Dumps:
    """Files of rows `<id>: <text>` in a corpus, and a store."""

    def __init__(self, folder):
        self.corpus, self.uri, self.nights = folder / "corpus", str(folder / "store"), 0
        (self.corpus / "g").mkdir(parents=True)
        self.write("other", **{f"o{number}": f"other row {number}" for number in range(30)})

    def write(self, name, **texts):
        (self.corpus / "g" / f"{name}.jsonl").write_text("\n".join(json.dumps({"id": key, "text": text}) for key, text in texts.items()))

    def remove(self, name):
        (self.corpus / "g" / f"{name}.jsonl").unlink()

    def night(self):
        self.nights += 1
        ingest(self.corpus, self.uri, f"night-{self.nights}", options=OPTIONS)
        return self.owners()

    def owners(self):
        """Id -> the file it comes from, without the thirty others."""
        assert_whole(self.uri)
        rows = open_night(self.uri).documents()
        return {row.doc_id: row.uri.rpartition("/")[2].partition(".")[0] for row in rows if not row.doc_id.startswith("o")}

    def refused(self):
        return sorted(row["uri"].rpartition("/")[2].replace(".jsonl", "") for row in picture(self.uri)["quarantine"])


@pytest.fixture
def dumps(tmp_path):
    return Dumps(tmp_path)


def texts(*ids, of=""):
    return {key: f"row {key}{of}" for key in ids}


def test_of_three_dumps_the_next_takes_over_and_encodes_nothing(dumps):
    for name in ("d1", "d2", "d3"):
        dumps.write(name, **texts("a", "b", "c"))
        assert dumps.night() == dict.fromkeys("abc", "d1")
    forget_log(dumps.uri)
    dumps.remove("d1")
    assert dumps.night() == dict.fromkeys("abc", "d2")
    assert encoded(dumps.uri) == {}  # the same texts: their vectors are kept
    assert dumps.refused() == ["d3#a", "d3#b", "d3#c"]
    dumps.remove("d2")
    dumps.remove("d3")
    dumps.write("d4", **texts("a"))
    assert dumps.night() == {"a": "d4"}
    assert dumps.refused() == []


def test_most_of_a_corpus_may_change_hands(dumps):
    """Else the plan is refused, as if two thirds of the documents were lost."""
    dumps.write("d1", **texts(*(f"r{number}" for number in range(60))))
    dumps.night()
    dumps.write("d2", **texts(*(f"r{number}" for number in range(60)), of=" again"))
    dumps.night()
    dumps.remove("d1")
    assert set(dumps.night().values()) == {"d2"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(("a", "b"), ("a",), {"a": "d1", "b": "d2"}, id="shrinks"),
        pytest.param(("a", "b"), ("a", "z"), {"a": "d1", "b": "d2", "z": "d1"}, id="names its row anew"),
        pytest.param(("a", "b"), ("b",), {"a": "d2", "b": "d1"}, id="loses its first row"),
        pytest.param(("a", "b", "c"), ("c", "b"), {"a": "d2", "b": "d1", "c": "d1"}, id="other order"),
    ],
)
def test_a_dump_that_changes_gives_up_ids(dumps, before, after, expected):
    dumps.write("d1", **texts(*before))
    dumps.night()
    dumps.write("d2", **texts("a", "b", of=" of the second dump"))
    assert set(dumps.night().values()) == {"d1"}
    dumps.write("d1", **texts(*after))
    assert dumps.night() == expected
    quiet = dumps.night()
    assert quiet == expected
    assert open_night(dumps.uri).name == f"night-{dumps.nights - 1}"  # nothing was left to do


def test_two_dumps_swap_their_ids(dumps):
    dumps.write("d1", **texts("a"))
    dumps.night()
    dumps.write("d2", **texts("a", "b", of=" second"))
    assert dumps.night() == {"a": "d1", "b": "d2"}
    dumps.write("d1", **texts("b"))
    dumps.write("d2", **texts("a", of=" second"))
    assert dumps.night() == {"a": "d2", "b": "d1"}
    assert dumps.refused() == []


def test_ids_change_hands_in_a_chain(dumps):
    """d3 gets what d2 gives up, in the night in which d1 goes and d2 changes."""
    dumps.write("d1", **texts("a"))
    dumps.night()
    dumps.write("d2", **texts("a", "b", of=" second"))
    dumps.night()
    dumps.write("d3", **texts("a", "b", of=" third"))
    assert dumps.night() == {"a": "d1", "b": "d2"}
    dumps.remove("d1")
    dumps.write("d2", **texts("a", of=" second"))
    assert dumps.night() == {"a": "d2", "b": "d3"}
    assert dumps.refused() == ["d3#a"]


def test_another_corpus_is_not_read_for_it(dumps, tmp_path):
    dumps.write("d1", **texts("a", "b"))
    dumps.night()
    other = tmp_path / "other" / "h"
    other.mkdir(parents=True)
    (other / "x.jsonl").write_text('{"id": "b", "text": "from elsewhere"}')
    ingest(other.parent, dumps.uri, "other-1", options=OPTIONS)
    dumps.write("d1", **texts("a"))
    assert dumps.night() == {"a": "d1"}
    ingest(other.parent, dumps.uri, "other-2", options=OPTIONS)
    assert dumps.owners() == {"a": "d1", "b": "x"}


def test_what_was_taken_over_is_counted_once(dumps, monkeypatch):
    """The report adds up what the plan says and what the run did."""
    seen = []
    original = driver.compress_and_commit
    monkeypatch.setattr(driver, "compress_and_commit", lambda *arguments: seen.append((arguments[1], original(*arguments))))
    dumps.write("d1", **texts("a", "b", "c"))
    dumps.write("d2", **texts("a", "b", "x"))
    dumps.night()
    dumps.write("d1", **texts("a", "c"))
    assert dumps.night() == {"a": "d1", "b": "d2", "c": "d1", "x": "d2"}
    plan, totals = seen[-1]
    assert plan.n_quarantined + totals.n_quarantined == 1 == len(dumps.refused())
    assert plan.n_stored_documents + totals.n_documents + totals.n_unchanged == 34 + 1  # one was written and refused again


POINTS = (
    "before freed ids are looked for",
    "before freed ids are planned",
    "before a record",
    "before segments",
    "before documents",
    "before retiring",
    "before quarantine",
    "before ledger",
    "after ledger",
    "before publishing",
)
"""Each strikes the second plan of the night."""


def test_a_kill_on_the_way_changes_nothing(dumps, tmp_path):
    dumps.write("d1", **texts("a", "b", "c"))
    dumps.night()
    dumps.write("d2", **texts("a", "b", of=" second"))
    dumps.night()
    dumps.write("d1", **texts("a", "c"))
    stores = {point: f"{tmp_path}/{point.replace(' ', '-')}" for point in POINTS}
    for store in stores.values():
        subprocess.run(["cp", "-r", dumps.uri, store], check=True)
    assert dumps.night() == {"a": "d1", "b": "d2", "c": "d1"}
    expected = picture(dumps.uri)

    drills = [f"{point}={store}" for point, store in stores.items()]
    command = [sys.executable, "-m", "tests.crash.loop", str(dumps.corpus), "night-3", *drills]
    surroundings = os.environ | {"LOOP_OPTIONS": json.dumps(OPTIONS)}
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=120, env=surroundings)
    assert done.stdout.splitlines() == [f"{point}=-9" for point in POINTS], done.stderr
    for point, store in stores.items():
        ingest(dumps.corpus, store, "night-4", options=OPTIONS)
        found = picture(store)
        assert {table: found[table] == rows for table, rows in expected.items()} == dict.fromkeys(expected, True), point
