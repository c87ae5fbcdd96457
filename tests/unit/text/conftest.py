"""The packaged tokenizer and small files of documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import texts

import lloco_core
from lloco_core.encoder_training.text.tokens import TextTokenizer

REFERENCE = Path(lloco_core.__file__).parent / "models" / "reference"


@pytest.fixture(scope="session")
def tokenizer() -> TextTokenizer:
    """Of the packaged checkpoint."""
    return TextTokenizer((REFERENCE / "tokenizer.json").read_text(), end_id=2)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """40 documents of 8 to about 1,200 tokens in two files."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("a", "b"):
        rows = [{"id": f"{name}{number}", "text": texts.story(f"{name}{number}", 1 + 3 * number)} for number in range(20)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
