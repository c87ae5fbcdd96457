"""Batches made ahead in threads, in order, with a position that can be saved between any two of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self

from lloco_core.encoder_training.batch import Batch
from lloco_core.encoder_training.text.source import Position, TextSource


class _Made(NamedTuple):
    position: Position
    batch: Future[Batch]


class TextLoader:
    """Iterates without end over the batches of a source; use it as a context, so that its threads end.

    Args:
        source: what to make batches of.
        threads: how many make them; the batches are the same for any number.
        ahead: how many are made or ready at a time.
        pin: put the text of batches into page-locked memory, from which copies to a GPU need not be waited for.
    """

    def __init__(self, source: TextSource, threads: int = 1, ahead: int = 4, *, pin: bool = False) -> None:
        self._source = source
        self._ahead = ahead
        self._pin = pin
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="text")
        self._making: deque[_Made] = deque()
        self._next = source.start

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        self._fill()
        batch = self._making[0].batch.result()  # taken off only now: after an error the position is still that of this batch
        self._making.popleft()
        self._fill()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The position behind the last batch that was handed out, as JSON can hold it. The same on all ranks."""
        position = self._making[0].position if self._making else self._next
        return {"fingerprint": self._source.fingerprint, "batches": list(position.batches), "rows": list(position.rows)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called.

        With as many ranks and tokens per batch the same batches follow; with others the same rows, in other batches.

        Raises:
            TrainingTextError: the position belongs to another text, curriculum, or seed.
        """
        position = self._source.check(state)
        for made in self._making:
            made.batch.cancel()
        self._making.clear()
        self._next = position

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _fill(self) -> None:
        while len(self._making) < self._ahead:
            self._making.append(_Made(self._next, self._pool.submit(self._make, self._next)))
            self._next = self._source.after(self._next)

    def _make(self, position: Position) -> Batch:
        batch = self._source.batch(position)
        return pinned(batch) if self._pin else batch


def pinned(batch: Batch) -> Batch:
    """The same batch, its text in page-locked memory; needs a GPU."""
    return Batch(batch.text_BT.pin_memory(), batch.answers)
