"""Headers and footers: what stands nowhere else (a letterhead, the number of a contract) is text, once, behind the document.

What the document says itself, page numbers, and dates are left out, and so are headers that Word does not show: those of first pages
without `w:titlePg`, and of even pages without `w:evenAndOddHeaders`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lloco_core.corpus.formats.word.names import attribute, each, name, switch

if TYPE_CHECKING:
    from lloco_core.corpus.formats.word.package import Package

_WORD = re.compile(r"\w+")
_PIECES = re.compile(r"[\t\n]")
FEW = 4
"""A piece with a page number or a date in it needs as many other words to be text: "Page 1 of 3" has two."""


def shown_headers(package: Package, root: Any, settings: Any) -> Iterator[str]:
    """The parts of headers and footers that Word shows, in the order of the sections, each once."""
    even = settings is not None and bool(switch(settings, "w:evenAndOddHeaders"))
    seen: set[str] = set()
    for section in each(root, "w:sectPr"):
        shown = {"default", None} | ({"even"} if even else set()) | ({"first"} if switch(section, "w:titlePg") else set())
        for reference in section:
            if name(reference) in ("w:headerReference", "w:footerReference") and attribute(reference, "w:type") in shown:
                part = package.part_of(package.main, reference, "r:id")
                if part and part not in seen:
                    seen.add(part)
                    yield part


def said_nowhere_else(lines: Iterable[str], body: Iterable[str], changing: str) -> list[str]:
    """The pieces of header lines that the body has not, each once; `changing` stands for page numbers and dates."""
    found: list[str] = []
    said: str | None = None
    for piece in (piece for line in lines for piece in _PIECES.split(line)):
        words = _WORD.findall(piece.casefold())
        if not words or (changing in piece and len(words) < FEW):
            continue
        if said is None:
            said = _spaced(_WORD.findall("\n".join(body).casefold()))
        if _spaced(words) not in said:
            said += _spaced(words)
            found.append(" ".join(piece.replace(changing, " ").split()))
    return found


def _spaced(words: list[str]) -> str:
    return f" {' '.join(words)} "
