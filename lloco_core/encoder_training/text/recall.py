"""Which words follow a cue: the plainest way to ask for exact text, possible in any language with spaces."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lloco_core.encoder_training.text.rowtext import is_whole
from lloco_core.selfstudy.from_documents import RECALL

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.config import CurriculumConfig
    from lloco_core.encoder_training.text.rowtext import RowText

_ATTEMPTS = 8


class Recalled(NamedTuple):
    """A cue as a question, and the words behind it."""

    question: str
    answer: str
    end: int
    """Token of the row behind the last of them."""


def recall(
    row_T: np.ndarray, text: RowText, pieces: list[bytes], begins_word_V: np.ndarray, config: CurriculumConfig, rng: Random
) -> Recalled | None:
    """Draw a cue that occurs once in a row [T]; None when a few draws find none.

    Cue and answer begin and end with whole words, so the cue may be a little longer than `cue_tokens`.
    """
    words = np.flatnonzero(begins_word_V[row_T])
    for _ in range(_ATTEMPTS):
        start = int(np.searchsorted(words, rng.randrange(len(row_T))))
        middle = int(np.searchsorted(words, words[start] + config.cue_tokens)) if start < len(words) else len(words)
        if middle + 1 >= len(words):
            continue
        last = int(np.searchsorted(words, words[middle] + config.recall_tokens, side="right")) - 1
        if last == middle:
            continue
        cue, answer = (
            b"".join(pieces[token] for token in row_T[words[first] : words[end]].tolist()).decode("utf-8", "surrogateescape")
            for first, end in ((start, middle), (middle, last))
        )
        if _is_usable(cue, answer, text.text):
            return Recalled(RECALL.format(cue=" ".join(cue.split())), " ".join(answer.split()), int(words[last]))
    return None


def _is_usable(cue: str, answer: str, text: str) -> bool:
    whole = is_whole(cue) and is_whole(answer) and "\n\n" not in cue + answer
    return whole and len(cue.split()) >= 2 and answer.strip() != "" and text.count(cue) == 1
