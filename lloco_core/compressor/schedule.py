"""Which positions run in the next step: continuous batching over documents, without padding.

A document is a chain of segment passes. A pass runs new positions `[prompt vectors ; segment ; summary tokens]` behind the
positions whose keys and values are kept, and it can start once the pass before it has given its vectors. A step takes
passes of many documents up to its budget of positions; the last one is cut where the budget ends and goes on in the
next step, as chunked prefill does in serving engines. The documents with most passes left go first, so that none is
left over at the end to run alone; waiting counts like passes left, so that none waits for ever.

Pure bookkeeping: no tensors, no device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lloco_core.compressor.memory import KeyValueMemory


HEAD_START = 4
"""Passes by which a waiting document must exceed one under way to go first: fewer documents hold memory at a time."""


@dataclass(slots=True, eq=False)
class DocumentProgress:
    """A document on its way: which pass it is in, and how many new positions of it are computed."""

    segment_tokens: Sequence[int]
    carried: int
    """Vectors that stand in front of the first segment."""
    summary_length: int
    accumulate: bool
    submitted: int = 0
    """Step count when the document was submitted."""
    region: int | None = None
    """First position of its keys and values in memory, once it is admitted."""
    segment: int = 0
    done: int = 0
    refused: bool = False
    """It does not fit into memory even alone."""

    def kept(self, segment: int) -> int:
        """Positions in front of a pass whose keys and values stay from earlier passes."""
        return self.carried + (segment - 1) * self.summary_length if segment and self.accumulate else 0

    def prompt(self, segment: int) -> int:
        """Vectors that are new input of a pass."""
        return self.summary_length if segment else self.carried

    def new_positions(self, segment: int) -> int:
        """Positions that a pass computes."""
        return self.prompt(segment) + self.segment_tokens[segment] + self.summary_length

    @property
    def capacity(self) -> int:
        """Positions of memory that the document needs at most."""
        return max(self.kept(k) + self.new_positions(k) for k in range(len(self.segment_tokens)))

    @property
    def ended(self) -> bool:
        """Every pass is done, or none will be."""
        return self.refused or self.segment == len(self.segment_tokens)

    def chunk(self, budget: int) -> Chunk | None:
        """The next positions, at most `budget` of them. Summary tokens are never parted."""
        left = self.new_positions(self.segment) - self.done
        if left <= budget:
            return Chunk(self, self.done, left, ends=True)
        n_positions = min(budget, left - self.summary_length)
        return Chunk(self, self.done, n_positions, ends=False) if n_positions > 0 else None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive new positions of one pass."""

    document: DocumentProgress
    first: int
    """Counted from the first new position of the pass."""
    n_positions: int
    ends: bool
    """Whether it holds the summary tokens, and with them the vectors."""


class Schedule:
    """The documents submitted and not finished."""

    def __init__(self, memory: KeyValueMemory) -> None:
        self._memory = memory
        self._documents: list[DocumentProgress] = []
        self._n_steps = 0

    def submit(self, document: DocumentProgress) -> None:
        """Queue a document."""
        document.submitted = self._n_steps
        self._documents.append(document)

    def withdraw(self, document: DocumentProgress) -> None:
        """Forget a document and free its memory."""
        if document in self._documents:
            self._documents.remove(document)
            self._release(document)

    def plan(self, budget: int) -> list[Chunk]:
        """Choose the next step's chunks. Documents are admitted on the way as far as memory goes."""
        chunks: list[Chunk] = []
        admitting = True
        for document in sorted(self._documents, key=self._priority, reverse=True):
            if budget <= 0:
                break
            if document.region is None:
                admitting = admitting and self._admit(document)  # the first that does not fit waits, and nobody overtakes it
            chunk = document.chunk(budget) if document.region is not None else None
            if chunk is None:
                continue
            chunks.append(chunk)
            budget -= chunk.n_positions
        return chunks

    def advance(self, chunks: Sequence[Chunk]) -> None:
        """Take note of a step that was run."""
        self._n_steps += 1
        for chunk in chunks:
            document = chunk.document
            document.done += chunk.n_positions
            if chunk.ends:
                document.segment, document.done = document.segment + 1, 0
            if document.ended:
                self.withdraw(document)

    def _priority(self, document: DocumentProgress) -> tuple[int, int]:
        passes_left = len(document.segment_tokens) - document.segment
        waited = self._n_steps - document.submitted
        return passes_left + waited + HEAD_START * (document.region is not None), document.done

    def _admit(self, document: DocumentProgress) -> bool:
        document.region = self._memory.allocate(document.capacity)
        if document.region is None and self._memory.is_empty:
            document.refused = True
            self._documents.remove(document)
        return document.region is not None or document.refused

    def _release(self, document: DocumentProgress) -> None:
        if document.region is not None:
            self._memory.release(document.region, document.capacity)
            document.region = None
