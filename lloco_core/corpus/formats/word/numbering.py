"""Automatic numbers of paragraphs ("1.2", "(a)", "IV."), which Word computes and does not store.

Lists (`w:num`) of one abstract list count on together; a list with a start of its own begins there when it is first used. A level
begins anew after a higher one was used, unless `w:lvlRestart` says otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from lloco_core.corpus.formats.word.names import attribute, child, each, name, switch, value, whole_number
from lloco_core.corpus.formats.word.number_formats import number_text
from lloco_core.corpus.formats.word.styles import ListPlace, Styles
from lloco_core.corpus.formats.word.symbols import symbol_text

LEVELS = 9
_PLACE = re.compile("%([1-9])")
_PRIVATE = re.compile("[\ue000-\uf8ff]")


@dataclass(frozen=True, slots=True)
class _Level:
    start: int
    number_format: str
    text: str
    suffix: str
    restart: int | None
    is_legal: bool
    is_hidden: bool
    style: str | None
    font: str


@dataclass(slots=True)
class _List:
    abstract: str
    levels: dict[int, _Level] = field(default_factory=dict)
    """Those that differ from the abstract list."""
    starts: dict[int, int] = field(default_factory=dict)


class Numbering:
    """The lists of a document and how far they have counted."""

    def __init__(self, root: Any, styles: Styles) -> None:
        self._styles = styles
        self._abstract: dict[str, dict[int, _Level]] = {}
        self._links: dict[str, str] = {}
        self._lists: dict[str, _List] = {}
        for element in () if root is None else root:
            if name(element) == "w:abstractNum":
                self._add_abstract(element)
            elif name(element) == "w:num":
                self._add_list(element)
        self._counters: dict[str, list[int | None]] = {}
        self._begun: set[tuple[str, int]] = set()

    def label(self, own: ListPlace, style_id: str | None) -> str:
        """Count a paragraph; its number with what separates it from the text, or nothing when it has none."""
        of_style = self._styles.list_place(style_id)
        num_id = of_style.num_id if own.num_id is None else own.num_id
        found = self._lists.get(num_id or "0")
        if found is None or num_id == "0":
            return ""
        abstract = self._resolve(found.abstract)
        levels = self._abstract.get(abstract, {}) | found.levels
        level = own.level if own.level is not None else of_style.level
        if level is None:
            level = next((number for item in self._styles.chain(style_id) for number in levels if levels[number].style == item), 0)
        if level not in levels:
            return ""
        counters = self._counters.setdefault(abstract, [None] * LEVELS)
        self._count(counters, level, levels, found.starts, (num_id or "", level))
        return _label(counters, level, levels, found.starts)

    def _count(
        self, counters: list[int | None], level: int, levels: dict[int, _Level], starts: dict[int, int], place: tuple[str, int]
    ) -> None:
        current = counters[level]
        begins = current is None or (level in starts and place not in self._begun)
        counters[level] = starts.get(level, levels[level].start) if begins else (current or 0) + 1
        self._begun.add(place)
        for deeper in range(level + 1, LEVELS):
            restart = levels[deeper].restart if deeper in levels else None
            if restart is None or level < restart:
                counters[deeper] = None

    def _resolve(self, abstract: str) -> str:
        """Follow the link of an abstract list to the one that a numbering style has."""
        for _ in range(LEVELS):
            num_id = self._styles.list_place(self._links.get(abstract)).num_id
            if num_id not in self._lists or self._lists[num_id].abstract == abstract:
                break
            abstract = self._lists[num_id].abstract
        return abstract

    def _add_abstract(self, element: Any) -> None:
        abstract = attribute(element, "w:abstractNumId") or ""
        self._abstract[abstract] = dict(_levels(element))
        if link := value(element, "w:numStyleLink"):
            self._links[abstract] = link

    def _add_list(self, element: Any) -> None:
        found = _List(value(element, "w:abstractNumId") or "")
        for override in element:
            level = whole_number(attribute(override, "w:ilvl")) if name(override) == "w:lvlOverride" else None
            if level is None or not 0 <= level < LEVELS:
                continue
            found.levels |= dict(_levels(override))
            start = whole_number(value(override, "w:startOverride"))
            if start is not None:
                found.starts[level] = start
        self._lists[attribute(element, "w:numId") or ""] = found


def _levels(element: Any) -> list[tuple[int, _Level]]:
    found = [(whole_number(attribute(item, "w:ilvl")), item) for item in element if name(item) == "w:lvl"]
    return [(number, _level(item)) for number, item in found if number is not None and 0 <= number < LEVELS]


def _level(element: Any) -> _Level:
    text, run_properties = child(element, "w:lvlText"), child(element, "w:rPr")
    fonts = None if run_properties is None else child(run_properties, "w:rFonts")
    shown = "" if text is None or attribute(text, "w:null") in ("1", "true", "on") else attribute(text, "w:val") or ""
    return _Level(
        start=whole_number(value(element, "w:start")) or 0,
        number_format=_number_format(element),
        text="•" if child(element, "w:lvlPicBulletId") is not None else shown,
        suffix={"nothing": ""}.get(value(element, "w:suff") or "", " "),
        restart=whole_number(value(element, "w:lvlRestart")),
        is_legal=bool(switch(element, "w:isLgl")),
        is_hidden=bool(run_properties is not None and switch(run_properties, "w:vanish")),
        style=value(element, "w:pStyle"),
        font=(None if fonts is None else attribute(fonts, "w:ascii") or attribute(fonts, "w:hAnsi")) or "",
    )


def _number_format(element: Any) -> str:
    """The format of a level; one that newer versions added stands in an alternative, as a sample ("001, 002, ...")."""
    found = next(each(element, "w:numFmt"), None)
    named = None if found is None else attribute(found, "w:val")
    return (attribute(found, "w:format") or "decimal") if named == "custom" else named or "decimal"


def _label(counters: list[int | None], level: int, levels: dict[int, _Level], starts: dict[int, int]) -> str:
    here = levels[level]
    if here.is_hidden:
        return ""
    if here.number_format == "bullet":
        label = _PRIVATE.sub("•", symbol_text(here.text, here.font))
    else:
        label = _PLACE.sub(lambda place: _number(int(place[1]) - 1, counters, levels, starts, here.is_legal), here.text)
    return label + here.suffix if label.strip() else ""


def _number(level: int, counters: list[int | None], levels: dict[int, _Level], starts: dict[int, int], is_legal: bool) -> str:
    if level not in levels:
        return ""
    current = counters[level]
    number = starts.get(level, levels[level].start) if current is None else current
    number_format = levels[level].number_format
    return number_text(number, "decimal" if is_legal and number_format != "none" else number_format)
