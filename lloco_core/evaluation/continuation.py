"""Losses of the tokens that follow a compressed beginning, for a context encoder and the stock causal model it came from.

The vectors are read by the model that answers: of an AutoCompressor itself, of an ICAE its frozen base, without a control token.

All windows of a condition have equally many positions before the scored tokens, so batches need no padding. The first of the following
tokens is given, not scored: without context nothing precedes it, and all conditions score the same tokens.

Shape suffixes: N windows, B windows of a batch, P positions of context, F following tokens, T tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from lloco_core.errors import ConfigurationError, DatasetError
from lloco_core.evaluation.perplexity import Losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lloco_core.compressor.encoder import ContextEncoder

FOLLOWING = 512
"""Tokens after the context, the given first one included."""
SEGMENTS = 3
"""Segments before them."""


@dataclass(frozen=True, slots=True)
class Window:
    """A place in a document: what comes before, and what is scored."""

    document_id: str
    before_T: np.ndarray
    following_F: np.ndarray


def cut_windows(documents: Mapping[str, np.ndarray], before: int, following: int = FOLLOWING, most: int = 1) -> list[Window]:
    """Up to `most` windows of every document, one behind the other from its beginning.

    Args:
        documents: name -> token ids [T].
        before: tokens before the scored ones: segments times segment length.
        following: tokens after those.
        most: windows per document; a shorter document has fewer.

    Raises:
        DatasetError: a document has too few tokens for one window.
    """
    size = before + following
    if short := [name for name, ids_T in documents.items() if len(ids_T) < size]:
        raise DatasetError(f"{len(short)} documents have fewer than {size} tokens, the first is {short[0]!r}; leave them out")
    return [
        Window(name, ids_T[start : start + before], ids_T[start + before : start + size])
        for name, ids_T in documents.items()
        for start in range(0, min(most, len(ids_T) // size) * size, size)
    ]


@torch.inference_mode()
def following_losses(
    model: PreTrainedModel, following: Sequence[np.ndarray], contexts: Sequence[np.ndarray | torch.Tensor | None], batch: int = 8
) -> Losses:
    """Summed losses of all but the first following token.

    Args:
        model: a stock causal language model.
        following: per window [F].
        contexts: per window token ids [P], vectors [P, H], or None; of equal shape.
        batch: windows computed at once.

    Raises:
        ConfigurationError: windows or contexts of different lengths.
    """
    lengths = {(len(ids_F), 0 if context is None else len(context)) for ids_F, context in zip(following, contexts, strict=True)}
    if len(lengths) != 1:
        raise ConfigurationError(f"windows of the lengths {sorted(lengths)} (following, context) do not batch; cut them alike")
    sums = [
        _batch_losses(model, following[start : start + batch], contexts[start : start + batch]) for start in range(0, len(following), batch)
    ]
    return Losses(np.concatenate(sums), np.full(len(following), len(following[0]) - 1))


def _batch_losses(
    model: PreTrainedModel, following: Sequence[np.ndarray], contexts: Sequence[np.ndarray | torch.Tensor | None]
) -> np.ndarray:
    ids_BF = torch.from_numpy(np.stack(following).astype(np.int64)).to(model.device)
    x_BPH = torch.stack([_embedded(model, context) for context in contexts])
    inputs_BTH = torch.cat([x_BPH, model.get_input_embeddings()(ids_BF)], dim=1)
    logits_BFV = model(inputs_embeds=inputs_BTH, logits_to_keep=ids_BF.shape[1], use_cache=False).logits[:, :-1].float()
    losses_BF = torch.nn.functional.cross_entropy(logits_BFV.transpose(1, 2), ids_BF[:, 1:], reduction="none")
    return losses_BF.double().sum(1).cpu().numpy()


def _embedded(model: PreTrainedModel, context: np.ndarray | torch.Tensor | None) -> torch.Tensor:
    weight_VH = model.get_input_embeddings().weight
    if context is None:
        return weight_VH[:0]
    found = context if isinstance(context, torch.Tensor) else torch.from_numpy(np.array(context))  # a copy: what a store reads is read-only
    found = found.to(weight_VH.device)
    return found.to(weight_VH.dtype) if found.ndim == 2 else model.get_input_embeddings()(found.long())


@dataclass(frozen=True, slots=True)
class Continuations:
    """Losses of the same windows under every condition of `perplexity.CONDITIONS`; `losses` is what its table asks for."""

    encoder: ContextEncoder
    windows: list[Window]
    """Of two documents or more, with `SEGMENTS` full segments before the scored tokens (fewer, and fewer conditions work)."""
    base: PreTrainedModel | None = None
    """The causal model before encoder training."""
    text_tokens: int | None = None
    """Tokens of the `text` conditions; None: one segment, the text of `vectors_1`."""
    batch: int = 8
    """Windows computed at once."""
    _encoded: dict[int, list[torch.Tensor]] = field(default_factory=dict, repr=False)

    @property
    def documents(self) -> list[str]:
        """Every window's document."""
        return [window.document_id for window in self.windows]

    def losses(self, condition: str) -> Losses:
        """Losses of all windows under a condition.

        Raises:
            ConfigurationError: an unknown condition, one without its model, or one with more text than the windows hold.
        """
        place, _, number = condition.rpartition("_")
        if condition == "wrong":
            return self._following(self.encoder.model, self._wrong())
        if place == "vectors" and number.isdigit():
            return self._following(self.encoder.model, self._vectors(int(number)))
        if condition in ("none", "text"):
            return self._following(self.encoder.model, self._plain(condition))
        if place == "base" and number in ("none", "text"):
            if self.base is None:
                raise ConfigurationError(f"condition {condition!r} needs the model before encoder training; give base")
            return self._following(self.base, self._plain(number))
        raise ConfigurationError(f"condition {condition!r} is unknown; use none, text, vectors_N, wrong, base_none, base_text")

    def _following(self, model: PreTrainedModel, contexts: Sequence[np.ndarray | torch.Tensor | None]) -> Losses:
        return following_losses(model, [window.following_F for window in self.windows], contexts, self.batch)

    def _plain(self, condition: str) -> Sequence[np.ndarray | None]:
        if condition == "none":
            return [None] * len(self.windows)
        return self._last(self.text_tokens or self.encoder.segment_length)

    def _vectors(self, segments: int) -> list[torch.Tensor]:
        """What the text behind that many segments sees of them."""
        if segments not in self._encoded:
            found = self.encoder.encode(self._last(segments * self.encoder.segment_length))
            self._encoded[segments] = [self.encoder.carried_on(vectors_PH) for vectors_PH in found]
        return self._encoded[segments]

    def _wrong(self) -> list[torch.Tensor]:
        """Vectors of all segments of the next window that is of another document."""
        segments = len(self.windows[0].before_T) // self.encoder.segment_length
        vectors, names = self._vectors(segments), self.documents
        if len(set(names)) < 2:
            raise ConfigurationError(f"all {len(names)} windows are of {names[0]!r}; condition 'wrong' needs two documents")
        count = len(names)
        others = (next(at % count for at in range(own + 1, own + count) if names[at % count] != names[own]) for own in range(count))
        return [vectors[other] for other in others]

    def _last(self, tokens: int) -> list[np.ndarray]:
        if not 0 < tokens <= len(self.windows[0].before_T):
            raise ConfigurationError(
                f"{tokens} tokens of context are asked for, windows hold {len(self.windows[0].before_T)}; cut them longer"
            )
        return [window.before_T[-tokens:] for window in self.windows]
