"""Where the loop's batches come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.encoder_training.batch import Batch


class BatchSource(Protocol):
    """The batches of one worker, in an order that can be resumed.

    With N workers, worker r gets the batches r, r + N, ... of the run. At any step the batches of all workers have the
    same shape.
    """

    def __iter__(self) -> Iterator[Batch]:
        """Batches from the current place on, without end or at least for the whole run."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The place behind the batches given so far: plain data and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a place; the next iterator starts there."""
        ...
