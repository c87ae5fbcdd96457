"""Waiting out an outage of S3 with boto3.

botocore's own retries end after a number of attempts, and all requests of a client share a quota of them: of sixteen requests under
way in an outage some fail within seconds. So botocore gets few attempts, for the short disturbances, and after them
`OutageRetry` sends a request again until time is up.
"""

from __future__ import annotations

import logging
import random
import time
from typing import Any

logger = logging.getLogger(__name__)

UNAVAILABLE = {429, 500, 502, 503, 504}
"""Answers of a store, or of a proxy before it, that is not there right now."""

FIRST_ATTEMPTS = 3
"""Attempts that botocore makes by its own rules."""

PAUSE = 3.0
"""Longest pause between two attempts in seconds; the shortest is a third of it."""


class OutageRetry:
    """Handler of botocore's event `needs-retry`: the pause until a request is sent again, or None to give up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(
        self, response: Any, caught_exception: Exception | None, attempts: int, request_dict: dict[str, Any], **_: Any
    ) -> float | None:
        """Called after every attempt, also after those that botocore repeats on its own."""
        if not _is_outage(response, caught_exception):
            return None
        now = time.monotonic()
        since = request_dict["context"].setdefault("lloco_outage_since", now)
        if now - since >= self.seconds:
            return None
        if attempts == FIRST_ATTEMPTS:
            reason = caught_exception or f"answer {response[0].status_code}"
            logger.warning("%s: %s; trying again for up to %.0f s", request_dict["url"], reason, self.seconds)
        return random.uniform(PAUSE / 3, PAUSE)  # noqa: S311 (spreads the clients)


def _is_outage(response: Any, error: Exception | None) -> bool:
    from botocore.exceptions import ConnectionError as UnreachableError
    from botocore.exceptions import HTTPClientError, SSLError

    if error is not None:
        return isinstance(error, (UnreachableError, HTTPClientError)) and not isinstance(error, SSLError)
    return response is not None and response[0].status_code in UNAVAILABLE
