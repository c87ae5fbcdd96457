"""Maintain a store: index, compact, sweep, retire nights, clean versions, finish forgetting. Safe beside a running ingest and readers.

`python -m flows.maintain_store --store.uri URI` runs it in this process; the deployment `maintain-store/weekly` runs the same flow.
"""

from __future__ import annotations

from prefect import flow

from flows.command import run_command
from lloco_core.config import MaintainConfig
from lloco_core.store.maintenance.report import MaintenanceReport
from tasks import maintain as steps


@flow(name="maintain-store", validate_parameters=True)
def maintain_store(config: MaintainConfig) -> MaintenanceReport:
    """Bring a store into its smallest and fastest form without losing anything that is still needed."""
    from lloco_core.store.maintenance.session import open_maintenance

    report = MaintenanceReport.start(config.store.uri)
    with open_maintenance(config.store, config.maintenance, report.run_id) as maintenance:
        steps.update_indices(maintenance)
        report.compacted = steps.compact(maintenance)
        report.swept = steps.sweep(maintenance)
        report.retired = steps.retire_nights(maintenance)
        report.cleaned, report.refusal = steps.clean_versions(maintenance)
        steps.finish_forgetting(maintenance)
        steps.publish_report(maintenance, report)
    return report


def main() -> None:
    """Maintain a store from the command line and print what was done."""
    from lloco_core.observe.terminal import print_pairs

    run_command(
        maintain_store,
        MaintainConfig,
        lambda report: print_pairs("Maintenance", report.rows()),
        "the store is whole, and finished steps are kept; run the same command again to go on",
    )


if __name__ == "__main__":
    main()
