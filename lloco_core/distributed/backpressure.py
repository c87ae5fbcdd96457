"""A bound on the rows inside a Ray Data graph: the first stage waits while too many have not left the last one.

Ray Data's own policies count bytes of the object store. The interface is the one its policies implement, named by the key that
its context documents for them; nothing else of it is touched. `tests/contract/test_ray_data.py` counts that it holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray.data._internal.execution.backpressure_policy import (  # noqa: TID253 - a worker's or driver's graph needs it, nobody else
    ENABLED_BACKPRESSURE_POLICIES,
    ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY,
)
from ray.data._internal.execution.backpressure_policy.backpressure_policy import BackpressurePolicy  # noqa: TID253
from ray.data._internal.execution.operators.map_operator import MapOperator  # noqa: TID253

if TYPE_CHECKING:
    from ray.data import DataContext
    from ray.data._internal.execution.interfaces.physical_operator import PhysicalOperator

ROWS_KEY = "lloco.rows_in_graph"


def bound_rows(context: DataContext, rows: int) -> None:
    """Let graphs of this context (one block per row) hold at most `rows` rows that the first stage took and the last has not finished."""
    context.set_config(ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY, [*ENABLED_BACKPRESSURE_POLICIES, RowsInGraph])
    context.set_config(ROWS_KEY, rows)


class RowsInGraph(BackpressurePolicy):
    """Holds the first stage back by count; it never holds back the others, so what is inside always gets out."""

    def can_add_input(self, op: PhysicalOperator) -> bool:
        """Whether a stage may start one more task."""
        stages = [stage for stage in self._topology if isinstance(stage, MapOperator)]
        if not stages or op is not stages[0]:
            return True
        inside = stages[0].metrics.num_tasks_submitted - stages[-1].metrics.num_tasks_finished
        return inside < self._data_context.get_config(ROWS_KEY)
