"""Tokenising documents and questions: no special tokens are added, and none are recognised in the text.

A document may contain the literal strings `<s>` or `</s>`; they are text and are tokenised as text, otherwise a web page
could end the model's answers. The wording around a question is ours: there special tokens are what they say, as chat templates need.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lloco_core.compressor.checkpoint import tokenizer_home
from lloco_core.errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a checkpoint's fast tokenizer without executing code from it."""
    from transformers import AutoTokenizer

    folder = tokenizer_home(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} holds no tokenizer that loads: {error}; add tokenizer.json beside the weights") from error
    if not tokenizer.is_fast:
        raise CheckpointError(f"{folder}: {type(tokenizer).__name__} gives no character offsets; provide tokenizer.json")
    return tokenizer


def tokenize(tokenizer: Any, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the token ids [T] int32 and the character range of every token [T, 2] int32."""
    # split_special_tokens goes with every call: a call without it resets the switch of the shared backend
    encoding = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False)
    return np.asarray(encoding.input_ids, dtype=np.int32), np.asarray(encoding.offset_mapping, dtype=np.int32).reshape(-1, 2)


def wording_ids(tokenizer: Any, template: str, slot: str, value: str) -> np.ndarray:
    """Token ids [T] int32 of a template with a value in its slot: special tokens of the template are such, those of the value are text."""
    special = {str(token): index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    parts = [
        np.asarray([special[piece]], dtype=np.int32) if piece in special else tokenize(tokenizer, piece.replace(slot, value))[0]
        for piece in wording_pieces(template, special)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int32), *parts])


def wording_pieces(template: str, special: Collection[str]) -> list[str]:
    """A template cut at its special tokens, which are pieces of their own."""
    if not special:
        return [template]
    longest_first = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    return [piece for piece in re.split(f"({longest_first})", template) if piece]
