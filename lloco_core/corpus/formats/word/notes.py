"""Footnotes and endnotes: a mark in the text, `[1]` or `[i]` as Word counts them, and a line that begins with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lloco_core.corpus.formats.word.names import attribute, name, value
from lloco_core.corpus.formats.word.number_formats import number_text

_KINDS = {
    "w:footnoteReference": ("footnotes", "w:footnote", "w:footnotePr", "decimal"),
    "w:endnoteReference": ("endnotes", "w:endnote", "w:endnotePr", "lowerRoman"),
}


class Notes:
    """The notes of a document. `open_part` gives a part by the kind of its relationship, `read` the lines of a note in it."""

    def __init__(self, open_part: Callable[[str], tuple[str, Any]], read: Callable[[str, Any], list[str]], settings: Any) -> None:
        self._read = read
        self._notes: dict[tuple[str, str | None], tuple[str, Any]] = {}
        self._formats: dict[str, str] = {}
        for reference, (kind, tag, properties, usual) in _KINDS.items():
            part, root = open_part(kind)
            for element in () if root is None else root:
                if name(element) == tag and attribute(element, "w:type") in (None, "normal"):
                    self._notes[reference, attribute(element, "w:id")] = (part, element)
            given = None if settings is None else value(settings, properties, "w:numFmt")
            self._formats[reference] = given or usual
        self._counts = dict.fromkeys(_KINDS, 0)
        self.endnotes: list[str] = []
        """Lines of the endnotes so far; footnotes stand behind the paragraph that refers to them."""

    def note(self, reference: Any, tag: str) -> tuple[str, str]:
        """The mark of a reference and the lines of its note; a reference to nothing is nothing."""
        found = self._notes.pop((tag, attribute(reference, "w:id")), None)
        if found is None:
            return "", ""
        mark = ""
        if attribute(reference, "w:customMarkFollows") not in ("1", "true", "on"):
            self._counts[tag] += 1
            mark = f"[{number_text(self._counts[tag], self._formats[tag])}]"
        text = "\n".join(line for line in self._read(*found) if line.strip())
        note = f"{mark} {text}".strip() if text else ""
        if note and tag == "w:endnoteReference":
            self.endnotes.append(note)
        return mark, note
