"""The real training text, a small part of it: zstd with a long window, books and articles."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import texts

from lloco_core.encoder_training.text.config import STYLES, CurriculumConfig
from lloco_core.encoder_training.text.curriculum import Curriculum
from lloco_core.encoder_training.text.files import find_files
from lloco_core.encoder_training.text.reading import Tally, TextDocument
from lloco_core.encoder_training.text.stream import read_documents, read_ids
from lloco_core.encoder_training.text.tokens import TextTokenizer

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "text"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the training text is not beside the repository (../shared/data/text)")


@pytest.fixture(scope="module")
def documents() -> list[TextDocument]:
    config = texts.config(SHARED, Path("unused"), drop=str(SHARED / "contamination.tsv"))
    read = read_documents(find_files(config.files), read_ids(config.drop), config, Tally(0))
    return list(islice(read, 40))


def test_contaminated_documents_are_listed() -> None:
    assert len(read_ids(str(SHARED / "contamination.tsv"))) > 50


def test_files_are_read_in_turns(documents: list[TextDocument]) -> None:
    assert len({document.id for document in documents}) == 40
    assert sum(len(document.text) > 100_000 for document in documents) >= 10  # books stand among the articles


def test_real_text_suits_every_style(documents: list[TextDocument], tokenizer: TextTokenizer) -> None:
    curriculum = Curriculum(CurriculumConfig(literal=2), tokenizer)
    styles: Counter[str] = Counter()
    for document, ids in zip(documents, tokenizer.encode([document.text[:20_000] for document in documents]), strict=True):
        row = curriculum.ask(ids[:3072].astype(np.int64), random.Random(document.id))
        for task in row.tasks:
            held = b"".join(tokenizer.pieces[token] for token in row.row_T[: task.told].tolist()).decode("utf-8", "replace")
            assert task.answer in " ".join(held.split())
            styles[task.style] += 1
    assert set(styles) == set(STYLES)
