"""What Lance's transactions say of themselves, and the conflicts between them.

Appends of any age are rebased by Lance, deletes, updates, and merges are repeated by it. What it gives back to the caller are
conflicts of compactions and of index builds: `retry_conflicts` repeats those.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import lance

logger = logging.getLogger(__name__)

ATTEMPTS = 5
CONFLICTS = ("commit conflict", "Incompatible transaction")
"""Words of Lance's messages; the second is of a transaction beside a `restore`. It has no exception type that covers both."""


def committed_properties(dataset: lance.LanceDataset, base_version: int) -> list[dict[str, str]]:
    """Properties of the transactions after a version that are part of the table: a restore undoes what lies between.

    A version that was cleaned up is an error of Lance.
    """
    found: dict[int, list[dict[str, str]]] = {base_version: []}
    for version in range(base_version + 1, dataset.version + 1):
        transaction = _transaction_of(dataset, version)
        if transaction and isinstance(transaction.operation, lance.LanceOperation.Restore):
            found[version] = found.get(transaction.operation.version, [])
        else:
            properties = transaction.transaction_properties if transaction else None
            found[version] = [*found[version - 1], *([properties] if properties else [])]
    return found[dataset.version]


def _transaction_of(dataset: lance.LanceDataset, version: int) -> lance.Transaction | None:
    try:
        return dataset.read_transaction(version)
    except TypeError as error:
        if "RewrittenIndex" not in str(error):
            raise
        return None  # pylance 14 cannot show a compaction of an indexed table; ours carry no properties


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
