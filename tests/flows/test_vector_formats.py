"""A store in 8 bits, from the flow's configuration to the answer's vectors, and the refusal of a run that says otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lloco_core.compressor import load_encoder
from lloco_core.config import NightlyConfig
from lloco_core.errors import CommitError
from lloco_core.store.read import open_night
from lloco_core.store.status import store_status
from tests.flows.conftest import small_night


@pytest.mark.real
@pytest.mark.timeout(600)
def test_a_store_keeps_the_format_it_was_made_with(prefect_server, tmp_path: Path):
    from flows.ingest_corpus import ingest_corpus

    text = "The museum opens at nine and closes at five. " * 8
    (tmp_path / "corpus" / "a").mkdir(parents=True)
    (tmp_path / "corpus" / "a" / "hours.txt").write_text(text)
    options = small_night(str(tmp_path / "corpus"), str(tmp_path / "store"))
    options["store"]["vectors"] = "float8_e4m3"
    config = NightlyConfig.model_validate(options)

    ingest_corpus(config)

    night = open_night(config.store.uri)
    [document] = night.documents()
    encoder = load_encoder("reference")
    exact = encoder.encode([encoder.tokenize(night.text(document.doc_id))[0]])[0].numpy()
    stored = night.summaries(document.doc_id)
    assert stored.dtype == np.float16
    assert 0 < np.linalg.norm(stored - exact) / np.linalg.norm(exact) < 0.04
    assert store_status(config.store.uri).vectors == "float8_e4m3, 516 bytes each"

    with pytest.raises(CommitError, match=r"as float8_e4m3, this run has store\.vectors 'float16'; set store\.vectors to 'float8_e4m3'"):
        ingest_corpus(NightlyConfig.model_validate(small_night(config.corpus.uri, config.store.uri)))
    assert open_night(config.store.uri).name == night.name
