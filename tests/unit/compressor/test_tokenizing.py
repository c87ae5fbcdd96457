"""Documents are text: nothing in them is a special token, and every character belongs to a token."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lloco_core.compressor import locate_checkpoint
from lloco_core.compressor.tokenizing import load_tokenizer, tokenize
from lloco_core.errors import CheckpointError

SPECIAL = "<s>Begin</s> and <unk> </s></s>\n<s>"
NON_ASCII = "Größe, naïve café: 東京タワー 🗼👩‍👩‍👧 — Ωμέγα, ‏שלום‎, ¼ µm\u00a0\u2028end\x00\x7f"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(locate_checkpoint("reference"))


def test_special_tokens_in_a_text_stay_text(tokenizer: Any) -> None:
    ids, _ = tokenize(tokenizer, SPECIAL)
    assert not {0, 1, 2} & set(ids.tolist())
    assert tokenizer.decode(ids) == SPECIAL


def test_other_calls_do_not_bring_special_tokens_back(tokenizer: Any) -> None:
    before = tokenize(tokenizer, SPECIAL)[0].tolist()
    assert {1, 2} <= set(tokenizer(SPECIAL).input_ids)  # a plain call does read them as special tokens
    assert tokenize(tokenizer, SPECIAL)[0].tolist() == before
    tokenizer.encode(SPECIAL, add_special_tokens=True)
    tokenizer(["a", SPECIAL], padding=True)
    tokenizer.tokenize(SPECIAL)
    tokenizer.decode(before, skip_special_tokens=True)
    assert tokenize(tokenizer, SPECIAL)[0].tolist() == before


@pytest.mark.parametrize("text", [SPECIAL, NON_ASCII, "  \n\n\t x", "a", "plain words, and 12345 digits.", "é" * 50])
def test_offsets_cover_the_text(tokenizer: Any, text: str) -> None:
    ids, chars = tokenize(tokenizer, text)
    assert (ids.dtype, chars.dtype, chars.shape) == (np.int32, np.int32, (len(ids), 2))
    assert set(range(len(text))) == {position for start, end in chars.tolist() for position in range(start, end)}
    assert (np.diff(chars[:, 0]) >= 0).all()
    assert (np.diff(chars[:, 1]) >= 0).all()
    assert tokenizer.decode(ids) == text


def test_offsets_of_ascii_spell_the_text(tokenizer: Any) -> None:
    text = "The magic city is Nairobi.\n  Indented </s> line, 2026."
    _, chars = tokenize(tokenizer, text)
    assert "".join(text[start:end] for start, end in chars) == text


def test_an_empty_text_has_no_tokens(tokenizer: Any) -> None:
    ids, chars = tokenize(tokenizer, "")
    assert (ids.shape, chars.shape) == ((0,), (0, 2))


def test_a_long_text_gives_no_warning(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert len(tokenize(tokenizer, "word " * 20_000)[0]) >= 20_000
    assert not caplog.records


def test_a_folder_without_tokenizer(tmp_path: Path) -> None:
    shutil.copyfile(locate_checkpoint("reference") / "config.json", tmp_path / "config.json")
    with pytest.raises(CheckpointError, match="tokenizer"):
        load_tokenizer(tmp_path)
