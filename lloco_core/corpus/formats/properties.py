"""The title that an Office file says of itself."""

from __future__ import annotations

from lloco_core.corpus.formats.package import Package
from lloco_core.corpus.reasons import Rejected


def package_title(package: Package) -> str | None:
    """Title of the core properties; None without one, or where they are broken."""
    for name in package.related_by("", "core-properties"):
        try:
            found = package.tree(name).find("{*}title")
        except Rejected:  # nobody reads these but file managers
            return None
        if found is not None and found.text:
            return found.text
    return None
