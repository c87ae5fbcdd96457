"""Presentations to text, slide by slide in their order; `page_starts` has one offset per slide, so that an answer can cite it.

Hidden slides are slides. Of a slide its shapes, groups, tables, SmartArt, and charts are read, then its notes and comments. Read with
lxml from the archive: python-pptx refuses files that PowerPoint opens (dangling relationships, strict files) and shows no SmartArt.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.drawing_text import chart_lines, diagram_lines, paragraph_text, shape_lines
from lloco_core.corpus.formats.package import Package, local_name, relation_id
from lloco_core.corpus.formats.properties import package_title
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_BETWEEN_SLIDES = "\n\n"
_OWN_WORDS = {"sldNum", "dt", "ftr", "hdr", "sldImg"}
"""Kinds of placeholders that repeat on every slide or page of notes."""


def read_pptx(data: bytes, max_bytes: int) -> ReadText:
    """Read a .pptx, .pptm, .ppsx, or .potx."""
    package = Package(data, max_bytes)
    main = next(iter(package.related_by("", "officeDocument")), "ppt/presentation.xml")
    slides = [normalise_text("\n".join(_slide_lines(package, name))) for name in _slide_names(package, main)]
    if not slides:
        raise Rejected(Reason.EMPTY, "the presentation has no slide; fill or exclude it")
    if not any(slide.strip() for slide in slides):
        raise Rejected(Reason.EMPTY, f"none of its {len(slides)} slides has text (pictures?); run OCR over it or exclude it")
    starts = accumulate((len(slide) + len(_BETWEEN_SLIDES) for slide in slides[:-1]), initial=0)
    return ReadText(_BETWEEN_SLIDES.join(slides), package_title(package) or _first_title(package, main), tuple(starts))


def _slide_names(package: Package, main: str) -> list[str]:
    related = package.related(main)
    ids = [relation_id(slide) for slide in package.tree(main).iter("{*}sldId")]
    return [related[found][1] for found in ids if found in related]


def _slide_lines(package: Package, name: str) -> Iterator[str]:
    related = package.related(name)
    tree = package.tree(name)
    yield from _filled(_drawn(package, tree, related))
    for kind, path in related.values():
        if kind == "notesslide":
            yield from _filled(_drawn(package, package.tree(path), package.related(path)))
        elif kind == "comments":
            yield from _filled(_comments(package.tree(path)))


def _filled(lines: Iterator[str]) -> Iterator[str]:
    return (line for line in lines if line.strip())


def _drawn(package: Package, tree: Any, related: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Lines of the shapes below an element; a shape without text may point to a chart or a diagram."""
    for child in tree:
        name = local_name(child)
        if name == "AlternateContent":
            yield from _drawn(package, child[0] if len(child) else child, related)
        elif name in ("cSld", "spTree", "grpSp"):
            yield from _drawn(package, child, related)
        elif name == "graphicFrame":
            yield from shape_lines(child)
            yield from _framed(package, child, related)
        elif name == "sp" and not _repeats(child):
            yield from shape_lines(child)


def _repeats(shape: Any) -> bool:
    return any(placeholder.get("type") in _OWN_WORDS for placeholder in shape.iter("{*}ph"))


def _framed(package: Package, frame: Any, related: dict[str, tuple[str, str]]) -> Iterator[str]:
    for element in frame.iter("{*}chart", "{*}relIds"):
        for value in element.attrib.values():
            kind, path = related.get(value, ("", ""))
            if kind in ("chart", "chartex"):
                yield from chart_lines(package, path)
            elif kind == "diagramdata":
                yield from diagram_lines(package, path)


def _comments(tree: Any) -> Iterator[str]:
    for element in tree.iter():
        if local_name(element) == "text" and element.text:
            yield element.text
        elif local_name(element) == "p":
            yield paragraph_text(element)


def _first_title(package: Package, main: str) -> str | None:
    for name in _slide_names(package, main)[:1]:
        for shape in package.tree(name).iter("{*}sp"):
            if any(placeholder.get("type") in ("title", "ctrTitle") for placeholder in shape.iter("{*}ph")):
                return " ".join(" ".join(shape_lines(shape)).split()) or None
    return None
