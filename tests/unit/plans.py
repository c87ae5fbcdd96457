"""A plan without any work, for tests of what is reported beside it."""

from dataclasses import fields

from lloco_core.planning import Plan
from lloco_core.store.plans import StoredPlan


def nothing_planned() -> Plan:
    counts = {field.name: 0 for field in fields(Plan) if field.name.startswith("n_")}
    return Plan(plan_id="plan", shards=StoredPlan(None, "plan", (), 0), staged_groups=(), **counts)
