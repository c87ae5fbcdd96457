"""What an encoder worker was doing when it died: small objects under `_plans/<plan_id>/attempts/<shard_id>/`.

A note is created before the work and deleted when the work ends, also with an error, so only a death leaves one behind.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lloco_core.objects import Objects

WHOLE = ""
"""Subject of a note on all documents of a shard together."""


@dataclass(frozen=True, slots=True)
class ShardAttempts:
    """The notes on one shard of one plan."""

    objects: Objects
    plan_id: str
    shard_id: str

    def deaths(self) -> Counter[str]:
        """How often a worker died during a subject: `WHOLE`, or the URI of a document that was encoded alone."""
        return Counter(json.loads(self.objects.get(item.key))["subject"] for item in self.objects.list(self._prefix))

    @contextmanager
    def noted(self, subject: str) -> Iterator[None]:
        """Note a subject for as long as the block runs."""
        key = self._create(subject)
        try:
            yield
        finally:
            self.objects.delete(key)

    def _create(self, subject: str) -> str:
        data = json.dumps({"subject": subject}).encode()
        return next(key for number in count(1) if self.objects.create(key := f"{self._prefix}{number}", data))

    @property
    def _prefix(self) -> str:
        return f"_plans/{self.plan_id}/attempts/{self.shard_id}/"
