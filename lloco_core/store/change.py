"""What changes of stored documents by hand (rollback, forgetting) have in common: a name, and that no plan may be open."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lloco_core.errors import CommitError
from lloco_core.store.records import open_plans

if TYPE_CHECKING:
    from lloco_core.store.tables import Store

LEASE_SECONDS = 600
"""As `store.lease_seconds` by default."""


def change_id(kind: str) -> str:
    """A sortable time and six random digits, as runs have."""
    return f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def refuse_open_plan(store: Store, what: str) -> None:
    """Changes wait for an interrupted ingest: only an ingest commits what a plan wrote.

    Raises:
        CommitError: a plan is open.
    """
    for plan in open_plans(store.objects):
        raise CommitError(
            f"{store.root}: plan {plan.plan_id} of run {plan.run_id} is unfinished; run the ingest again, which finishes it, then {what}"
        )
