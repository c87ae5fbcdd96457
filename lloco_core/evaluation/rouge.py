"""ROUGE of one summary as SCROLLS computes it for QMSum: no stemming, sentences on lines, best over the references per key.

The figure that is reported is the geometric mean of the means of rouge1, rouge2, and rougeL; `scoring` takes it. Lines only matter
to rougeLsum, which is given beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
AVERAGED = KEYS[:3]
"""Keys of the geometric mean."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def rouge_scores(answer: str, references: Sequence[str]) -> dict[str, float]:
    """F-measure per key, between 0 and 1."""
    found = _on_lines(answer)
    scored = [_scorer().score(_on_lines(reference), found) for reference in references]
    return {key: max(scores[key].fmeasure for scores in scored) for key in KEYS}


def _on_lines(text: str) -> str:
    return _SENTENCE_END.sub("\n", text.strip())


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(KEYS), use_stemmer=False)
