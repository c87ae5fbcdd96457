"""Text of drawings in Office files: paragraphs and tables of shapes, groups, SmartArt, and charts (DrawingML).

Elements are found by their local names, so files in the strict form of the standard are read as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lloco_core.corpus.formats.package import Package, local_name

_LABELS = {"strCache", "multiLvlStrCache", "strDim"}
"""Where charts keep words; their numbers lie elsewhere."""
_SLIDE_NUMBER = "slidenum"


def shape_lines(tree: Any) -> Iterator[str]:
    """Lines of everything drawn below an element, in the order of the file: a paragraph or a table row each."""
    for child in tree:
        name = local_name(child)
        if name == "AlternateContent":
            yield from shape_lines(_chosen(child))
        elif name == "tbl":
            yield from _table_lines(child)
        elif name == "p":
            yield paragraph_text(child)
        else:
            yield from shape_lines(child)


def paragraph_text(paragraph: Any) -> str:
    """Text of one paragraph; slide numbers are left out."""
    parts = []
    for child in paragraph:
        name = local_name(child)
        if name == "br":
            parts.append("\n")
        elif name == "AlternateContent":
            parts.append(paragraph_text(_chosen(child)))
        elif name == "fld" and child.get("type", "").lower() == _SLIDE_NUMBER:
            continue
        elif name == "t":
            parts.append(child.text or "")
        elif name not in ("pPr", "rPr", "endParaRPr"):
            parts.append(paragraph_text(child))
    return "".join(parts)


def chart_lines(package: Package, name: str) -> Iterator[str]:
    """Titles, names of series, and categories of a chart; its numbers are left out."""
    seen = set()
    for element in package.tree(name).iter():
        if local_name(element) == "p":
            line = paragraph_text(element)
        elif local_name(element) in ("v", "pt") and _is_label(element):
            line = element.text or ""
        else:
            continue
        if line not in seen:
            seen.add(line)
            yield line


def diagram_lines(package: Package, name: str) -> Iterator[str]:
    """Text of SmartArt, one line per paragraph."""
    yield from shape_lines(package.tree(name))


def _is_label(value: Any) -> bool:
    return any(local_name(above) in _LABELS for above in value.iterancestors())


def _chosen(alternatives: Any) -> Any:
    """What a program of today shows of alternatives: the first choice, else the fallback."""
    return next(iter(alternatives), alternatives)


def _table_lines(table: Any) -> Iterator[str]:
    for row in (child for child in table if local_name(child) == "tr"):
        cells = [cell for cell in row if local_name(cell) == "tc" and not (cell.get("hMerge") or cell.get("vMerge"))]
        yield "\t".join(" ".join(" ".join(line.split()) for line in shape_lines(cell)).strip() for cell in cells)
