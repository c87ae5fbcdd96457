"""Long texts of documents that were never trained on: one long document, or several short ones joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lloco_core.errors import DatasetError

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.cache import TokenCache
    from lloco_core.encoder_training.text.config import TextConfig
    from lloco_core.encoder_training.text.tokens import TextTokenizer

SPARE = 1.02
"""Joined and cut texts may be tokenised into a little fewer tokens."""


def haystacks(cache: TokenCache, text: TextConfig, tokenizer: TextTokenizer, number: int, tokens: int) -> dict[str, str]:
    """Up to `number` texts of at least `tokens` tokens, by the id of their first document; no document is in two.

    Raises:
        DatasetError: the held-out documents together are too short for two.
    """
    order = np.random.default_rng(text.seed).permutation(cache.documents("validation", text.validation))
    names, found, joined, length = cache.ids(), {}, [], 0
    for document in order.tolist():
        joined.append(document)
        length += int(cache.n_tokens[document])
        if length >= SPARE * tokens:
            found[names[joined[0]]] = "\n\n".join(_text(cache, part, tokenizer.pieces, round(SPARE * tokens)) for part in joined)
            joined, length = [], 0
        if len(found) == number:
            break
    if len(found) < 2:
        raise DatasetError(
            f"{len(order)} held-out documents give {len(found)} haystacks of {tokens} tokens; raise the validation share or give more text"
        )
    return found


def _text(cache: TokenCache, document: int, pieces: list[bytes], most: int) -> str:
    start, end = int(cache.starts[document]), int(cache.starts[document + 1])
    ids = cache.tokens[start : min(end, start + most)].tolist()
    return b"".join(pieces[token] for token in ids).decode("utf-8", "replace")
