"""What styles say of paragraphs and runs, through the styles they are based on: whether text is hidden, and the list it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lloco_core.corpus.formats.word.names import attribute, child, name, switch, value, whole_number


@dataclass(frozen=True, slots=True)
class ListPlace:
    """The list (`num_id`) and level of a paragraph; None where nothing is said. `num_id` "0" takes it out of any list."""

    num_id: str | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class _Style:
    based_on: str | None
    is_hidden: bool | None
    place: ListPlace


def hidden_by(run_properties: Any) -> bool | None:
    """Whether `w:rPr` hides its text; None where it does not say."""
    if run_properties is None:
        return None
    found = (switch(run_properties, "w:vanish"), switch(run_properties, "w:webHidden"))
    return True if True in found else False if False in found else None


def list_place(paragraph_properties: Any) -> ListPlace:
    """The list that `w:pPr` itself names."""
    found = None if paragraph_properties is None else child(paragraph_properties, "w:numPr")
    return ListPlace() if found is None else ListPlace(value(found, "w:numId"), whole_number(value(found, "w:ilvl")))


class Styles:
    """The styles of a document; none without a styles part."""

    def __init__(self, root: Any) -> None:
        self._styles: dict[str, _Style] = {}
        self.default_paragraph: str | None = None
        for element in () if root is None else root:
            style_id = attribute(element, "w:styleId")
            if name(element) != "w:style" or style_id is None:
                continue
            hidden = hidden_by(child(element, "w:rPr"))
            self._styles[style_id] = _Style(value(element, "w:basedOn"), hidden, list_place(child(element, "w:pPr")))
            if attribute(element, "w:type") == "paragraph" and attribute(element, "w:default") in ("1", "true", "on"):
                self.default_paragraph = style_id
        self._hides: dict[str | None, bool] = {}

    def chain(self, style_id: str | None) -> Iterator[str]:
        """A style and those it is based on."""
        seen: set[str] = set()
        while style_id in self._styles and style_id not in seen:
            seen.add(style_id)
            yield style_id
            style_id = self._styles[style_id].based_on

    def hides(self, style_id: str | None) -> bool:
        """Whether a style hides its text."""
        if style_id not in self._hides:
            said = (self._styles[item].is_hidden for item in self.chain(style_id))
            self._hides[style_id] = next((hidden for hidden in said if hidden is not None), False)
        return self._hides[style_id]

    def is_hidden(self, run_properties: Any, paragraph_style: str | None) -> bool:
        """Whether a run, or the mark at the end of a paragraph, is hidden: by itself, or by one of its two styles; both show it."""
        own = hidden_by(run_properties)
        if own is not None:
            return own
        character_style = None if run_properties is None else value(run_properties, "w:rStyle")
        return self.hides(paragraph_style) != self.hides(character_style)

    def list_place(self, style_id: str | None) -> ListPlace:
        """The list and level that a style gives, each from the nearest style that says it."""
        places = [self._styles[item].place for item in self.chain(style_id)]
        num_id = next((place.num_id for place in places if place.num_id is not None), None)
        return ListPlace(num_id, next((place.level for place in places if place.level is not None), None))
