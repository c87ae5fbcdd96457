"""The report of a maintenance: what was done, and nothing else."""

from __future__ import annotations

from lloco_core.store.maintenance.compact import Compacted
from lloco_core.store.maintenance.orphans import Swept
from lloco_core.store.maintenance.report import MaintenanceReport
from lloco_core.store.maintenance.versions import Cleaned


def test_a_report_names_what_was_done():
    report = MaintenanceReport("maintenance-1", "s3://company/lloco")
    assert report.rows() == [("run", "maintenance-1"), ("store", "s3://company/lloco"), ("result", "nothing to do")]
    report.compacted = [Compacted("segments", 1200, 3, 2), Compacted("ledger")]
    report.swept = [Swept("orphans of segments", 2, 5_000_000), Swept("probes")]
    report.retired = ["night-1", "night-2"]
    report.cleaned = [Cleaned("segments", 41, 1_234_500_000), Cleaned("ledger")]
    report.refusal = "a plan | waits"
    assert report.rows()[2:] == [
        ("compaction of segments", "1,200 fragments became 3, 2 rewrites gave way to an ingest"),
        ("orphans of segments", "2 deleted, 5.0 MB"),
        ("nights retired", "night-1, night-2"),
        ("old versions of segments", "41 removed, 1,234.5 MB"),
        ("attention", "a plan | waits"),
    ]
    assert "| attention | a plan \\| waits |" in report.as_markdown()
    assert report.as_json()["cleaned"][0] == {"table": "segments", "n_versions": 41, "n_bytes": 1_234_500_000}
