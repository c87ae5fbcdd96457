"""How busy the encoders were: measured per shard on the worker, put together per run on the driver.

Shard records are the only thing that survives a lost worker and a killed driver, so every record says how many seconds the
device computed for its shard, on which encoder, and from when to when. A run's share follows from any set of records.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lloco_core.store.records import ShardRecord


class BusyClock(Protocol):
    """What is measured: an encoder that counts the seconds in which its device executed steps."""

    @property
    def busy_seconds(self) -> float:
        """Seconds since loading; never falls."""


@dataclass(slots=True)
class EncoderUse:
    """One shard's use of one encoder."""

    encoder_id: str = ""
    """Names a loaded encoder; a worker that was replaced has another one. Empty where nothing was encoded."""
    started: float | None = None
    """Unix seconds at which the shard's documents reached the encoder."""
    ended: float | None = None
    """Unix seconds at which the last of them was finished."""
    busy_seconds: float = 0.0
    """Device seconds computed for this shard."""
    n_tokens: int = 0


class EncoderMeter:
    """Splits the busy seconds of one encoder among the shards it works on at once."""

    def __init__(self, encoder: BusyClock) -> None:
        self.encoder_id = secrets.token_hex(8)
        self._encoder = encoder
        self._lock = threading.Lock()
        self._counted = encoder.busy_seconds
        self._active: list[EncoderUse] = []
        self._epoch = time.time() - time.perf_counter()  # one correction of the system clock must not bend an interval

    @contextmanager
    def shard(self, n_tokens: int) -> Iterator[EncoderUse]:
        """Measure the encoding of one shard of `n_tokens` tokens; the figures are complete when the block is left."""
        use = EncoderUse(self.encoder_id, n_tokens=n_tokens)
        with self._lock:
            self._settle()
            self._active.append(use)
            use.started = self._epoch + time.perf_counter()
        try:
            yield use
        finally:
            with self._lock:
                self._settle()
                self._active = [other for other in self._active if other is not use]
                use.ended = self._epoch + time.perf_counter()

    def _settle(self) -> None:
        """Give what the device computed since the last call to the shards it worked on, by their tokens.

        What is counted while there is none (a GPU step that ended after its shard left) goes to the next one: no second is lost or doubled.
        """
        if not self._active:
            return
        busy_seconds = self._encoder.busy_seconds
        grown, self._counted = busy_seconds - self._counted, busy_seconds
        n_tokens = sum(use.n_tokens for use in self._active)
        for use in self._active:
            use.busy_seconds += grown * use.n_tokens / n_tokens


@dataclass(slots=True)
class EncoderBusy:
    """Busy seconds and spans of the encoders behind a set of shard records.

    An encoder's span goes from the first document it received to the last one it finished, gaps included; loading and the
    passages of the last shard lie outside. Shards of a killed worker that were encoded again count where they were finished.
    """

    busy_seconds: float = 0.0
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    """encoder_id -> (started, ended) in Unix seconds."""

    def add(self, record: ShardRecord) -> None:
        """Count a shard; records without an encoder (nothing to encode, or of an older version) are left out."""
        if not record.encoder_id or record.encode_started is None or record.encode_ended is None:
            return
        started, ended = self.spans.get(record.encoder_id, (record.encode_started, record.encode_ended))
        self.spans[record.encoder_id] = (min(started, record.encode_started), max(ended, record.encode_ended))
        self.busy_seconds += record.encode_seconds

    @property
    def seconds(self) -> float:
        """Sum of the encoders' spans."""
        return sum(ended - started for started, ended in self.spans.values())

    @property
    def share(self) -> float | None:
        """Busy seconds per second of the spans; None where nothing was measured."""
        return self.busy_seconds / self.seconds if self.seconds else None

    def as_json(self) -> dict[str, float | int | None]:
        """The figures as plain data."""
        return {
            "share": None if self.share is None else round(self.share, 4),
            "busy_seconds": round(self.busy_seconds, 3),
            "seconds": round(self.seconds, 3),
            "encoders": len(self.spans),
        }

    def __str__(self) -> str:
        if self.share is None:
            return "-"
        return f"{100 * self.share:.0f} % of {self.seconds:,.0f} s on {len(self.spans)} encoder{'s' if len(self.spans) > 1 else ''}"
