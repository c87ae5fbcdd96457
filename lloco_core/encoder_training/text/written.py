"""A row whose questions and answers are written out at its end: plain text that teaches a language model to answer from what it reads.

The text's tail gives way to them. A fact that the row ended with stays the last thing before them, and a question whose sentence was cut
away is left out. Shape suffixes: T tokens of a row, Q tokens of a question with its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from lloco_core.encoder_training.text.config import FACT_STYLES

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.curriculum import AskedRow


def write_out(asked: AskedRow, questions: Sequence[np.ndarray], rng: Random) -> np.ndarray:
    """The row with its questions behind the text, in random order, [T] int64 and as long as before.

    Args:
        asked: a row and its tasks.
        questions: prompt, answer, and end token [Q] int64 of every task.
        rng: draws the order.
    """
    room, kept = asked.body, []
    needed = [0 if task.style in FACT_STYLES and task.told > asked.body else task.told for task in asked.tasks]
    for tokens, ids_Q in sorted(zip(needed, questions, strict=True), key=lambda item: item[0]):
        if tokens + len(ids_Q) <= room:
            room -= len(ids_Q)
            kept.append(ids_Q)
    rng.shuffle(kept)
    return np.concatenate([asked.row_T[:room], asked.row_T[asked.body :], *kept])
