"""A corpus of two groups with five documents each, and a store that holds it."""

import pytest

from tests.crash.drill import write_corpus
from tests.crash.loop import ingest
from tests.unit.changes.observed import forget_log


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    write_corpus(folder)
    return folder


@pytest.fixture
def store_uri(corpus, tmp_path):
    uri = str(tmp_path / "store")
    ingest(corpus, uri, "night-1")
    forget_log(uri)
    return uri
