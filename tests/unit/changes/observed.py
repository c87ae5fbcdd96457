"""What the tests of changes look at after a night."""

from collections import Counter
from pathlib import Path

from lloco_core.store.read import open_night
from tests.crash.drill import picture


def forget_log(uri):
    Path(f"{uri}.encoded").unlink(missing_ok=True)


def encoded(uri):
    """Titles of the documents that were encoded since `forget_log`, with how often."""
    log = Path(f"{uri}.encoded")
    return Counter(log.read_text().split()) if log.exists() else Counter()


def titles(uri):
    return sorted(row.title for row in open_night(uri).documents())


def assert_whole(uri):
    """Every document that readers see has its segments and passages once, and nothing else lies in the tables."""
    rows = picture(uri)
    readable = {row["version_id"]: row["n_segments"] for row in rows["documents"] if row["status"] in ("active", "staged")}
    assert Counter(row["version_id"] for row in rows["segments"]) == readable
    assert {row["version_id"] for row in rows["passages"]} == set(readable)
    active = [row["doc_id"] for row in rows["documents"] if row["status"] == "active"]
    assert len(active) == len(set(active))
