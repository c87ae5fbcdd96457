"""Tokenising documents: no special tokens are added, and none are recognised in the text.

A document may contain the literal strings `<s>` or `</s>`; they are text and are tokenised as text, otherwise a web page
could end the model's answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lloco_core.errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a checkpoint's fast tokenizer without executing code from it."""
    from transformers import AutoTokenizer

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
