"""What lies over the cells of an .xlsx: text boxes, SmartArt, charts, and comments."""

from __future__ import annotations

from collections.abc import Iterator

from lloco_core.corpus.formats.drawing_text import chart_lines, diagram_lines, shape_lines
from lloco_core.corpus.formats.package import Package, local_name, relation_id


def sheet_notes(package: Package) -> dict[str, tuple[str, ...]]:
    """Lines by the name of their sheet."""
    main = next(iter(package.related_by("", "officeDocument")), "xl/workbook.xml")
    related = package.related(main)
    found = {}
    for sheet in package.tree(main).iter("{*}sheet"):
        _, path = related.get(relation_id(sheet), ("", ""))
        found[sheet.get("name", "")] = tuple(line for line in _lines(package, path) if line.strip()) if path else ()
    return found


def _lines(package: Package, sheet: str) -> Iterator[str]:
    related = list(package.related(sheet).values())
    threaded = any(kind == "threadedcomment" for kind, _ in related)
    for kind, path in related:
        if kind == "drawing":
            yield from _drawing_lines(package, path)
        elif kind == "threadedcomment" or (kind == "comments" and not threaded):  # beside a thread, comments only say that there is one
            yield from _comments(package, path)


def _drawing_lines(package: Package, drawing: str) -> Iterator[str]:
    yield from shape_lines(package.tree(drawing))
    for kind, path in package.related(drawing).values():
        if kind in ("chart", "chartex"):
            yield from chart_lines(package, path)
        elif kind == "diagramdata":
            yield from diagram_lines(package, path)


def _comments(package: Package, path: str) -> Iterator[str]:
    for comment in package.tree(path).iter("{*}comment", "{*}threadedComment"):
        yield "".join(element.text or "" for element in comment.iter() if local_name(element) in ("t", "text"))
