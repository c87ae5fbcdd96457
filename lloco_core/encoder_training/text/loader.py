"""Batches made ahead in threads or processes, in order, with a position that can be saved between any two of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch

from lloco_core.encoder_training.batch import Answer, Batch
from lloco_core.encoder_training.text.processes import process_pool
from lloco_core.encoder_training.text.source import Position, TextSource

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.config import TextConfig


class _Made(NamedTuple):
    position: Position
    batch: Future[Any]


class TextLoader:
    """Iterates without end over the batches of a source; use it as a context, so that its threads or processes end.

    Args:
        source: what to make batches of.
        threads: how many make them; the batches are the same for any number.
        processes: how many make them in place of the threads.
        ahead: how many are made or ready at a time.
        pin: put the text of batches into page-locked memory, from which copies to a GPU need not be waited for.
    """

    def __init__(self, source: TextSource, threads: int = 1, processes: int = 0, ahead: int = 4, *, pin: bool = False) -> None:
        self._source = source
        self._ahead = max(ahead, 2 * processes)
        self._pin = pin
        self._in_processes = processes > 0
        self._held = ExitStack()
        self._pool: Executor = self._held.enter_context(
            process_pool(processes, _Process.start, source) if processes else ThreadPoolExecutor(threads, thread_name_prefix="text")
        )
        self._making: deque[_Made] = deque()
        self._next = source.start

    @classmethod
    def of(cls, source: TextSource, config: TextConfig, *, pin: bool = False) -> Self:
        """As the configuration says."""
        return cls(source, config.threads, config.loader_processes, config.ahead, pin=pin)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        self._fill()
        made = self._making[0].batch.result()  # taken off only now: after an error the position is still that of this batch
        self._making.popleft()
        self._fill()
        batch = _received(made) if self._in_processes else made
        return replace(batch, text_BT=batch.text_BT.pin_memory()) if self._pin else batch

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
        self._held.close()

    def _fill(self) -> None:
        while len(self._making) < self._ahead:
            make = _make_to_send if self._in_processes else self._source.batch
            self._making.append(_Made(self._next, self._pool.submit(make, self._next)))
            self._next = self._source.after(self._next)


class _Process:
    """What a process that makes batches holds."""

    source: TextSource

    @classmethod
    def start(cls, source: TextSource) -> None:
        """Called once in every process."""
        torch.set_num_threads(1)
        cls.source = source


Sent = tuple[np.ndarray, list[tuple[int, int, np.ndarray, np.ndarray]]]
"""A batch as arrays: a tensor would travel through shared memory, one file of it each."""


def _make_to_send(position: Position) -> Sent:
    batch = _Process.source.batch(position)
    return batch.text_BT.numpy(), [(item.row, item.after, item.prompt.numpy(), item.answer.numpy()) for item in batch.answers]


def _received(sent: Sent) -> Batch:
    text, answers = sent
    asked = [Answer(row, after, torch.from_numpy(prompt), torch.from_numpy(answer)) for row, after, prompt, answer in answers]
    return Batch(torch.from_numpy(text), asked)
