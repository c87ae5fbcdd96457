"""What changes of stored documents by hand (rollback, forgetting) have in common: a name, and that no ingest may be half done."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lloco_core.errors import CommitError
from lloco_core.store.records import open_plans
from lloco_core.store.switching import MARKER

if TYPE_CHECKING:
    from lloco_core.store.tables import Store

LEASE_SECONDS = 600
"""As `store.lease_seconds` by default."""


def change_id(kind: str) -> str:
    """A sortable time and six random digits, as runs have."""
    return f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def half_done(store: Store) -> str:
    """What an interrupted ingest left to be finished; empty where there is nothing. Only an ingest commits what a plan wrote."""
    for plan in open_plans(store.objects):
        return f"plan {plan.plan_id} of run {plan.run_id} is unfinished"
    return "groups are half switched to another encoder" if store.objects.stat(MARKER) else ""


def refuse_half_done(store: Store, what: str) -> None:
    """Changes wait for an interrupted ingest.

    Raises:
        CommitError: a plan or a switch of groups is unfinished.
    """
    if found := half_done(store):
        raise CommitError(f"{store.root}: {found}; run the ingest again, which finishes it, then {what}")
