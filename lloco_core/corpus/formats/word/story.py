"""One story of a Word document (its body, a note, a header, a text box) to lines: a paragraph or a row of a table each.

Elements that are not named here are wrappers, and what is in them is read: smart tags, moves, links, custom XML, and what comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lloco_core.corpus.formats.word.equations import equation
from lloco_core.corpus.formats.word.fields import Field, Fields, field_marks
from lloco_core.corpus.formats.word.inline import BREAKS, DROPPED, branch, controlled, drawing_text, font_of, run_text, word_art
from lloco_core.corpus.formats.word.names import attribute, child, each, name, switch, value
from lloco_core.corpus.formats.word.styles import list_place
from lloco_core.corpus.formats.word.symbols import symbol, symbol_text

if TYPE_CHECKING:
    from lloco_core.corpus.formats.word.reading import WordDocument

_ONE_LINE = str.maketrans("\t\n", "  ")
CHANGING = "\x00"
"""Stands in headers and footers for the result of a field that changes; no XML has it."""


class Story:
    """Reads the blocks of one story; `part` is where its relationships are."""

    def __init__(self, document: WordDocument, part: str, notes: list[str] | None, *, marks_changing: bool = False) -> None:
        self._document, self._part = document, part
        self._notes = notes
        self._marks_changing = marks_changing
        self._fields = Fields(set())
        self._pieces: list[str] = []
        """Of the paragraph at hand, and of those before it whose mark is deleted or hidden."""
        self._boxes: list[str] = []
        self._style: str | None = None
        self._font: str | None = None
        self._depth = 0

    def lines(self, element: Any) -> list[str]:
        """The lines of a story."""
        self._fields = Fields(field_marks(element))
        return self._blocks(element)

    def _blocks(self, element: Any) -> list[str]:
        out: list[str] = []
        outer, self._pieces = self._pieces, []
        for block in element:
            self._block(block, out)
        self._end_paragraph(out)
        self._pieces = outer
        return out

    def _block(self, element: Any, out: list[str]) -> None:
        tag = name(element)
        if tag == "w:p":
            self._paragraph(element, out)
        elif tag == "w:tbl":
            self._end_paragraph(out)
            out.extend(self._rows(element))
        elif tag in ("m:oMathPara", "m:oMath"):
            out.append(equation(element))
        elif tag == "w:altChunk":
            out.extend(self._document.imported(self._part, element))
        elif tag not in DROPPED:
            for block in _unwrapped(element, tag):
                self._block(block, out)
        if self._depth == 0 and self._notes and tag in ("w:p", "w:tbl"):
            out.extend(self._notes)
            self._notes.clear()

    def _paragraph(self, element: Any, out: list[str]) -> None:
        properties = child(element, "w:pPr")
        named = None if properties is None else value(properties, "w:pStyle")
        self._style = style = named or self._document.styles.default_paragraph
        mark = None if properties is None else child(properties, "w:rPr")
        is_joined, is_run_in = self._is_joined(mark, style), mark is not None and bool(switch(mark, "w:specVanish"))
        label = "" if is_joined and not is_run_in else self._document.numbering.label(list_place(properties), style)
        before = len(self._pieces)
        for item in element:
            self._inline(item)
        if label and any(piece.strip() for piece in self._pieces):
            self._pieces.insert(before if is_run_in else 0, label)
        if not is_joined:
            self._end_paragraph(out, is_empty_too=True)

    def _is_joined(self, mark: Any, style: str | None) -> bool:
        """Whether the end of a paragraph is deleted, moved away, or hidden: then the next one goes on in its line."""
        is_gone = mark is not None and (child(mark, "w:del") is not None or child(mark, "w:moveFrom") is not None)
        return is_gone or self._document.styles.is_hidden(mark, style)

    def _end_paragraph(self, out: list[str], *, is_empty_too: bool = False) -> None:
        if self._pieces or is_empty_too:
            out.append("".join(self._pieces))
            self._pieces = []
        out.extend(self._boxes)
        self._boxes = []

    def _inline(self, element: Any) -> None:
        tag = name(element)
        if tag in ("w:r", "m:r"):
            self._run(element)
        elif tag == "m:oMath":
            self._show(equation(element))
        elif tag == "w:fldSimple":
            self._fields.opened.append(Field(attribute(element, "w:instr") or "", in_result=True))
            for item in element:
                self._inline(item)
            self._fields.opened.pop()
        elif tag == "w:p":  # only in damaged files
            self._pieces.append("\n")
            for item in element:
                self._inline(item)
        elif tag not in DROPPED:
            for item in _unwrapped(element, tag):
                self._inline(item)

    def _run(self, run: Any) -> None:
        properties = child(run, "w:rPr")
        is_hidden = self._document.styles.is_hidden(properties, self._style)
        self._font = font_of(properties)
        for item in run:
            self._in_run(item, is_hidden)

    def _in_run(self, element: Any, is_hidden: bool) -> None:
        tag = name(element)
        if tag == "w:fldChar":
            shown = self._fields.mark(element)
            self._show("" if is_hidden else shown)
        elif tag == "w:instrText":
            self._fields.instruct(element.text)
        elif is_hidden or tag in DROPPED:
            return
        elif tag in ("w:t", "m:t"):
            self._show(symbol_text(run_text(element), self._font))
        elif tag in BREAKS:
            self._show(BREAKS[tag])
        elif tag in _SHOWN:
            self._show(_SHOWN[tag](element))
        elif tag in ("w:footnoteReference", "w:endnoteReference"):
            self._note(element, tag)
        elif tag in _BOXES:
            self._box(element, tag)
        elif tag in ("w:r", "m:r"):
            self._run(element)
        else:
            for item in _unwrapped(element, tag):
                self._in_run(item, is_hidden)

    def _show(self, text: str) -> None:
        if text and self._fields.shows_text:
            is_marked = self._marks_changing and self._fields.is_changing
            self._pieces.append(CHANGING if is_marked else text)

    def _note(self, reference: Any, tag: str) -> None:
        if self._notes is not None and self._fields.shows_text:
            mark, note = self._document.notes.note(reference, tag)
            self._show(mark)
            if note and tag == "w:footnoteReference":
                self._notes.append(note)

    def _box(self, element: Any, tag: str) -> None:
        if not self._fields.shows_text:
            return
        if tag == "w:txbxContent":
            inner = Story(self._document, self._part, self._notes, marks_changing=self._marks_changing)
            inner._depth = 1
            lines = inner.lines(element)
        elif tag == "dgm:relIds":
            drawing = self._document.package.xml(self._document.package.part_of(self._part, element, "r:dm"))
            lines = [] if drawing is None else [drawing_text(item) for item in each(drawing, "a:p")]
        else:
            lines = [drawing_text(element) if tag == "a:p" else word_art(element)]
        self._boxes.extend(line for line in lines if line.strip())

    def _rows(self, table: Any) -> Iterator[str]:
        self._depth += 1
        for row, is_empty in _inside(table, "w:tr"):
            properties = child(row, "w:trPr")
            if properties is None or child(properties, "w:del") is None:
                cells = [self._cell(cell, is_empty or is_placeholder) for cell, is_placeholder in _inside(row, "w:tc")]
                yield "\t".join(cell for cell in cells if cell is not None)
        self._depth -= 1

    def _cell(self, cell: Any, is_placeholder: bool) -> str | None:
        """The text of a cell in one line; None where the cell is deleted or part of the one on its left."""
        properties = child(cell, "w:tcPr")
        merged, beside = (None if properties is None else child(properties, tag) for tag in ("w:vMerge", "w:hMerge"))
        if beside is not None and attribute(beside, "w:val") != "restart":
            return None
        if properties is not None and child(properties, "w:cellDel") is not None:
            return None
        is_below = merged is not None and attribute(merged, "w:val") != "restart"
        lines = [] if is_placeholder or is_below else self._blocks(cell)
        return " ".join(line.translate(_ONE_LINE) for line in lines if line)


_SHOWN = {
    "w:sym": lambda element: symbol(attribute(element, "w:char"), attribute(element, "w:font")),
    "w16se:symEx": lambda element: symbol(attribute(element, "w16se:char"), attribute(element, "w16se:font")),
    "m:oMath": equation,
}
_BOXES = frozenset(["w:txbxContent", "dgm:relIds", "a:p", "v:textpath"])


def _unwrapped(element: Any, tag: str) -> Any:
    """What is read in place of a wrapper."""
    if tag == "mc:AlternateContent":
        return branch(element)
    return controlled(element) if tag == "w:sdt" else element


def _inside(element: Any, wanted: str, is_placeholder: bool = False) -> Iterator[tuple[Any, bool]]:
    """The rows of a table or the cells of a row, in whatever wrappers, each with whether it is the placeholder of a content control."""
    for item in element:
        tag = name(item)
        if tag == wanted:
            yield item, is_placeholder
        elif tag == "w:sdt":
            content = child(item, "w:sdtContent")
            if content is not None:
                yield from _inside(content, wanted, is_placeholder or not len(controlled(item)))
        elif tag not in DROPPED:
            yield from _inside(_unwrapped(item, tag), wanted, is_placeholder)
