"""Validation of a context encoder in training: perplexity of held-out text behind 0 to 3 compressed segments.

The windows are chosen once, so every measurement of a run is of the same tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lloco_core.errors import ConfigurationError, TrainingTextError
from lloco_core.evaluation.continuation import FOLLOWING, SEGMENTS, Continuations, Window
from lloco_core.evaluation.intervals import Bootstrap
from lloco_core.evaluation.perplexity import CONDITIONS, Losses, base_ratios, kept_own_gain, perplexity_table

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lloco_core.compressor.encoder import ContextEncoder
    from lloco_core.encoder_training.text.cache import TokenCache
    from lloco_core.encoder_training.text.config import TextConfig
    from lloco_core.encoder_training.text.tokens import TextTokenizer

PER_DOCUMENT = 4
"""Windows of a document at most: a long book says less than several short ones."""


class Validation:
    """Windows of documents that are never trained on, and what they measure of an encoder.

    Args:
        cache: the text; documents of its validation share are taken.
        text: its configuration: share and seed.
        tokenizer: of the encoder.
        segment_length: tokens per segment that encoders are measured with.
        n_windows: wanted; fewer where the documents do not hold as many.
        base: the causal language model before encoder training, on the encoder's device; its losses are computed once.
        following: tokens behind the segments.
        batch: windows computed at once.

    Raises:
        ConfigurationError: the text was tokenised with another tokenizer.
        TrainingTextError: fewer than two held-out documents are long enough.
    """

    def __init__(
        self,
        cache: TokenCache,
        text: TextConfig,
        tokenizer: TextTokenizer,
        segment_length: int,
        n_windows: int,
        base: PreTrainedModel | None = None,
        following: int = FOLLOWING,
        batch: int = 8,
    ) -> None:
        if cache.report["tokenizer"] != tokenizer.fingerprint:
            raise ConfigurationError(
                f"{cache.folder} was tokenised with {cache.report['tokenizer']}, the encoder has {tokenizer.fingerprint}; "
                "open the cache with the encoder's tokenizer"
            )
        self.segment_length = segment_length
        self.windows = held_out_windows(cache, text, segment_length, n_windows, following)
        self._base = base
        self._base_losses: dict[str, Losses] = {}
        self._batch = batch

    def measure(self, encoder: ContextEncoder, bootstrap: Bootstrap = Bootstrap()) -> dict[str, Any]:  # noqa: B008 - frozen
        """Perplexity per condition with `intervals`, `tokens`, and `documents`; with a base `damage` and `kept_gain`, else `kept_own_gain`.

        Raises:
            ConfigurationError: the encoder has segments of another length.
        """
        if encoder.segment_length != self.segment_length:
            raise ConfigurationError(
                f"windows for segments of {self.segment_length} tokens came to an encoder with {encoder.segment_length}; "
                "load it with that segment_length"
            )
        found = Continuations(encoder, self.windows, self._base, batch=self._batch)
        conditions = CONDITIONS if self._base is not None else [name for name in CONDITIONS if not name.startswith("base_")]
        losses = {condition: self._losses(found, condition) for condition in conditions}
        table = perplexity_table(losses.__getitem__, found.documents, conditions, bootstrap)
        table["documents"] = len(set(found.documents))
        if self._base is None:
            kept = kept_own_gain(losses, found.documents, bootstrap)
            table["intervals"]["kept_own_gain"] = kept.bounds
            return table | {"kept_own_gain": kept.value}
        ratios = base_ratios(losses, found.documents, bootstrap)
        table["intervals"] |= ratios.pop("intervals")
        return table | ratios

    def _losses(self, found: Continuations, condition: str) -> Losses:
        if not condition.startswith("base_"):
            return found.losses(condition)
        if condition not in self._base_losses:
            self._base_losses[condition] = found.losses(condition)
        return self._base_losses[condition]


def held_out_windows(cache: TokenCache, text: TextConfig, segment_length: int, n_windows: int, following: int = FOLLOWING) -> list[Window]:
    """Up to `n_windows` windows of `SEGMENTS` segments and the text behind them, from as many documents as there are.

    Documents, and places in them, are drawn with the seed of the text; windows do not overlap.

    Raises:
        TrainingTextError: fewer than two held-out documents are long enough.
    """
    before = SEGMENTS * segment_length
    size = before + following
    held = cache.documents("validation", text.validation)
    documents = held[cache.n_tokens[held] >= size]
    if len(documents) < 2 or n_windows < 2:
        raise TrainingTextError(
            f"{len(documents)} of {len(held)} held-out documents have the {size} tokens of {SEGMENTS} segments of {segment_length} and "
            f"{following} behind them, for {n_windows} windows; two of each are needed: raise text.validation, add longer documents, or "
            "validate with shorter segments"
        )
    rng = np.random.default_rng([text.seed, segment_length])
    places = {document: _places(int(cache.n_tokens[document]), size, rng) for document in rng.permutation(documents).tolist()}
    drawn = [(document, starts[turn]) for turn in range(PER_DOCUMENT) for document, starts in places.items() if turn < len(starts)]
    names = cache.ids()
    return [_window(cache, names[document], document, start, before, size) for document, start in drawn[:n_windows]]


def _places(n_tokens: int, size: int, rng: np.random.Generator) -> list[int]:
    """Beginnings of windows in a document, in random order."""
    shift = int(rng.integers(n_tokens % size + 1))
    return [shift + size * place for place in rng.permutation(n_tokens // size)[:PER_DOCUMENT].tolist()]


def _window(cache: TokenCache, name: str, document: int, start: int, before: int, size: int) -> Window:
    first = int(cache.starts[document]) + start
    ids_T = cache.tokens[first : first + size].astype(np.int64)
    return Window(name, ids_T[:before], ids_T[before:])
