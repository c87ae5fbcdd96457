"""What Lance's transactions say of themselves, and the conflicts between them.

Appends of any age are rebased by Lance, deletes, updates, and merges are repeated by it. What it gives back to the caller are
conflicts of compactions and of index builds: `retry_conflicts` repeats those.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lance

logger = logging.getLogger(__name__)

ATTEMPTS = 5
CONFLICTS = ("commit conflict", "Incompatible transaction")
"""Words of Lance's messages; the second is of a transaction beside a `restore`. It has no exception type that covers both."""


def properties_of(dataset: lance.LanceDataset, version: int) -> dict[str, str]:
    """The properties that the transaction of a version carries; a version that was cleaned up is an error of Lance."""
    try:
        transaction = dataset.read_transaction(version)
    except TypeError as error:
        if "RewrittenIndex" not in str(error):
            raise
        return {}  # pylance 14 cannot show a compaction of an indexed table; ours carry no properties
    return dict(transaction.transaction_properties or {}) if transaction else {}


def is_conflict(error: Exception) -> bool:
    """Whether an error of Lance says that another transaction was first."""
    return any(words in str(error) for words in CONFLICTS)


def retry_conflicts(step: Callable[[], None]) -> None:
    """Run a step that opens its table anew, again and again while another transaction is first; the last conflict is raised."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return step()
        except OSError as error:
            if attempt == ATTEMPTS or not is_conflict(error):
                raise
            logger.info("attempt %d of %d met another transaction: %s", attempt, ATTEMPTS, error)
    raise AssertionError("the last attempt returns or raises")
