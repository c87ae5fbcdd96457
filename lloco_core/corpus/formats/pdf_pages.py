"""The text of a PDF page with the values of its fields and its notes where a reader sees them.

A value goes behind the words to its left, or below the line above it, once: a form that was flattened may keep its fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lloco_core.corpus.decoding import squeezed
from lloco_core.corpus.formats.pdf_annotations import Value, values_of
from lloco_core.corpus.formats.pdf_doubled import once

if TYPE_CHECKING:
    from pypdf import PageObject

_NEAR = 3.0
"""Points by which a value drawn on the page may stand outside of its field."""
_TELLING = 4
"""Characters from which an equal string on the same line is taken for the value itself, drawn on the page."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of a page's text and the point it begins at."""

    text: str
    x: float
    y: float


def page_text(page: PageObject) -> str:
    """All text of a page, not normalised."""
    values = list(values_of(page)) if "/Annots" in page else []
    if not values:
        return once(page.extract_text())
    pieces: list[_Piece] = []

    def place(text: str, matrix: list[float], line: list[float], *_: object) -> None:
        x = line[4] * matrix[0] + line[5] * matrix[2] + matrix[4]
        y = line[4] * matrix[1] + line[5] * matrix[3] + matrix[5]
        pieces.append(_Piece(text, x, y))

    page.extract_text(visitor_text=place)
    return once(_merged(pieces, [value for value in values if not _is_drawn(value, pieces)]))


def _merged(pieces: list[_Piece], values: list[Value]) -> str:
    beside: dict[int, list[str]] = {}
    below: dict[int, list[str]] = {}
    for value in sorted(values, key=lambda value: (-value.top, value.left)):
        label = _label(value, pieces)
        if label is None:
            below.setdefault(_above(value, pieces), []).append(value.text)
        else:
            beside.setdefault(label, []).append(value.text)
    text, gap = "".join(f"{line}\n" for line in below.get(-1, [])), ""
    for number, piece in enumerate(pieces):
        if gap and piece.text:
            text, gap = text + (gap if not piece.text[0].isspace() else ""), ""
        words = piece.text.rstrip("\n")
        text += " ".join([words, *beside.get(number, [])])
        text += "".join(f"\n{line}" for line in below.get(number, []))
        text += piece.text[len(words) :]
        if len(words) == len(piece.text):
            gap = "\n" if number in below else " " if number in beside else gap
    return text


def _label(value: Value, pieces: list[_Piece]) -> int | None:
    """The last piece that begins left of a value on its line."""
    found = [(piece.x, number) for number, piece in enumerate(pieces) if piece.text.strip() and _is_left(piece, value)]
    return max(found)[1] if found else None


def _is_left(piece: _Piece, value: Value) -> bool:
    return value.bottom - _NEAR <= piece.y <= value.top and piece.x <= value.left + _NEAR


def _above(value: Value, pieces: list[_Piece]) -> int:
    """The last piece of the next line above a value; -1: there is none."""
    found = [(-piece.y, number) for number, piece in enumerate(pieces) if piece.text.strip() and piece.y > value.bottom]
    return max(found)[1] if found else -1


def _is_drawn(value: Value, pieces: list[_Piece]) -> bool:
    """Whether the page itself shows the value where the field is."""
    line = [piece for piece in pieces if value.bottom - _NEAR <= piece.y <= value.top + _NEAR]
    inside = [piece for piece in line if value.left - _NEAR <= piece.x <= value.right + _NEAR]
    wanted = squeezed(value.text)
    return wanted in squeezed("".join(piece.text for piece in inside)) or (
        len(wanted) >= _TELLING and wanted in squeezed("".join(piece.text for piece in line))
    )
