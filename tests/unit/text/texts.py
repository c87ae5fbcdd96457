"""Documents made of seeded sentences, and configurations to read them with."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from lloco_core.encoder_training.text.config import TextConfig
from lloco_core.encoder_training.text.tokens import TextTokenizer

_SENTENCES = (
    "In 18{d}, the council of {n} opened a second school beside the river.",
    "“I have never seen so much snow in {m},” said {n}.",
    "{n} was a painter of small landscapes.",
    "The road was closed because the bridge at {n} had been washed away.",
    "{n} carried the lantern across the frozen field.",
    "The purpose of the meeting was to choose a captain for the voyage.",
    "Nobody spoke of it — not even {n} — for {d} days.",
    "{n} saw the lights of the harbour, and the wind fell.",
)
_NAMES = ("Marlow", "Anna Petersen", "Tobias", "Ferney", "Old Kettering", "Sofie", "Björn", "Wexcombe")


def story(seed: str, sentences: int) -> str:
    """A text of so many sentences, in paragraphs of four."""
    rng = random.Random(seed)
    drawn = [(rng.choice(_SENTENCES), rng.sample(_NAMES, 2), rng.randint(10, 99)) for _ in range(sentences)]
    made = [sentence.format(n=names[0], m=names[1], d=number) for sentence, names, number in drawn]
    return "\n\n".join(" ".join(made[start : start + 4]) for start in range(0, sentences, 4))


def text_of(ids_T: np.ndarray, tokenizer: TextTokenizer) -> str:
    """What token ids stand for."""
    return b"".join(tokenizer.pieces[token] for token in ids_T.tolist()).decode("utf-8", "replace")


def config(files: Path | str | list[str], cache: Path, **changes: Any) -> TextConfig:
    """A configuration with short rows."""
    uris = files if isinstance(files, list) else [str(files)]
    values = {"rows": [{"kind": "packed", "row_tokens": 64}], "batch_tokens": 256, "validation": 0} | changes
    return TextConfig.model_validate({"files": uris, "cache": str(cache)} | values)
