"""Fields: their results are text, their instructions are not. A field may span runs, links, paragraphs, and hold others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lloco_core.corpus.formats.word.equations import equation_field
from lloco_core.corpus.formats.word.inline import DROPPED
from lloco_core.corpus.formats.word.names import attribute, child, each, name, switch, value, whole_number

CHANGING = frozenset(["PAGE", "NUMPAGES", "SECTIONPAGES", "SECTION", "DATE", "TIME", "PRINTDATE", "SAVEDATE"])
"""Fields of headers and footers that are no text of the document."""


@dataclass(slots=True)
class Field:
    """A field that has begun."""

    code: str = ""
    in_result: bool = False
    form: Any = None
    """`w:ffData` of a form field."""

    @property
    def is_changing(self) -> bool:
        """Whether its result differs from page to page, or from day to day."""
        return self._kind in CHANGING

    @property
    def _kind(self) -> str:
        return next(iter(self.code.split(None, 1)), "").upper()

    def without_result(self) -> str:
        """What Word shows of a field for which it stores no result: the state of a form field, an equation."""
        if self.form is not None:
            return _form_text(self.form)
        return equation_field(self.code.strip()[2:]) if self._kind == "EQ" else ""


def _form_text(form: Any) -> str:
    if (box := child(form, "w:checkBox")) is not None:
        checked = switch(box, "w:checked")
        return "☒" if (switch(box, "w:default") if checked is None else checked) else "☐"
    if (choice := child(form, "w:ddList")) is not None:
        entries = [attribute(item, "w:val") or "" for item in choice if name(item) == "w:listEntry"]
        chosen = whole_number(value(choice, "w:result") or value(choice, "w:default") or "0")
        return entries[chosen] if chosen is not None and 0 <= chosen < len(entries) else ""
    return ""


@dataclass(slots=True)
class Fields:
    """The fields that are open at a place of a story."""

    marks: set[Any]
    """Begins, separators, and ends that belong together; others are damage and ignored."""
    opened: list[Field] = field(default_factory=list)

    @property
    def shows_text(self) -> bool:
        """Whether text here is part of no instruction."""
        return all(item.in_result for item in self.opened)

    @property
    def is_changing(self) -> bool:
        """Whether text here is the result of a field that changes."""
        return any(item.is_changing for item in self.opened)

    def mark(self, element: Any) -> str:
        """Take in a `w:fldChar`; what a field that ends here shows besides its result."""
        kind = attribute(element, "w:fldCharType")
        if element not in self.marks:
            return ""
        if kind == "begin":
            self.opened.append(Field(form=child(element, "w:ffData")))
        elif kind == "separate":
            self.opened[-1].in_result = True
        else:
            ended = self.opened.pop()
            return "" if ended.in_result else ended.without_result()
        return ""

    def instruct(self, text: str | None) -> None:
        """Take in a piece of an instruction."""
        if self.opened and not self.opened[-1].in_result:
            self.opened[-1].code += text or ""


def field_marks(story: Any) -> set[Any]:
    """The `w:fldChar` elements of fields that begin and end in a story."""
    opened: list[list[Any]] = []
    whole: set[Any] = set()
    for element in each(story, "w:fldChar"):
        kind = attribute(element, "w:fldCharType")
        if any(name(above) in DROPPED for above in element.iterancestors()):
            continue
        if kind == "begin":
            opened.append([element])
        elif kind == "separate" and opened and len(opened[-1]) == 1:
            opened[-1].append(element)
        elif kind == "end" and opened:
            whole.update(opened.pop(), [element])
    return whole
