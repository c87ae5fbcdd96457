"""What a maintenance did, for people: as a table, kept beside the tables, shown in the UI."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lloco_core.store.maintenance.compact import Compacted
    from lloco_core.store.maintenance.orphans import Swept
    from lloco_core.store.maintenance.versions import Cleaned


@dataclass(slots=True)
class MaintenanceReport:
    """Filled in by the flow as it goes on."""

    run_id: str
    store_uri: str
    compacted: list[Compacted] = field(default_factory=list)
    swept: list[Swept] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    """Nights that cannot be opened any more."""
    cleaned: list[Cleaned] = field(default_factory=list)
    refusal: str = ""
    """Why no versions were cleaned up."""

    @classmethod
    def start(cls, store_uri: str) -> MaintenanceReport:
        """Name a new run: a sortable time and six random digits."""
        return cls(f"maintenance-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", store_uri)

    def rows(self) -> list[tuple[str, str]]:
        """What was done, a line each; steps that found nothing to do are left out."""
        lines = [("run", self.run_id), ("store", self.store_uri)]
        lines += [(f"compaction of {item.table}", _compaction(item)) for item in self.compacted if item.n_removed or item.n_conflicts]
        lines += [(item.what, f"{item.n_objects:,} deleted, {_megabytes(item.n_bytes)}") for item in self.swept if item.n_objects]
        lines += [("nights retired", ", ".join(self.retired))] if self.retired else []
        lines += [
            (f"old versions of {item.table}", f"{item.n_versions:,} removed, {_megabytes(item.n_bytes)}")
            for item in self.cleaned
            if item.n_versions
        ]
        lines += [("attention", self.refusal)] if self.refusal else []
        return lines if len(lines) > 2 else [*lines, ("result", "nothing to do")]

    def as_markdown(self) -> str:
        """The report as the run's markdown artifact."""
        cells = [(name, text.replace("|", "\\|")) for name, text in self.rows()]
        return "\n".join(["# Maintenance", "", "| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in cells)]) + "\n"

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)


def _compaction(item: Compacted) -> str:
    gave_way = f", {item.n_conflicts} rewrites gave way to an ingest" if item.n_conflicts else ""
    return f"{item.n_removed:,} fragments became {item.n_added:,}{gave_way}"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
