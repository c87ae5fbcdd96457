"""What stands on a PDF page beside its content: values of form fields, free-text notes, stamps, and visible signatures.

Not read: what is hidden, password fields, push buttons, links, and comments (sticky notes, the notes of highlights and of other
marks), which are about the page and not on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypdf import PageObject

_HIDDEN, _PRINTED, _NOT_SHOWN = 1 << 1, 1 << 2, 1 << 5
"""Flags of an annotation."""
_PASSWORD, _PUSH = 1 << 13, 1 << 16
"""Flags of a field."""
_DRAWN = ("/FreeText", "/Stamp", "/Watermark", "/Line")
_DEPTH = 32
"""Of fields inside fields; a file may make them a loop."""
_BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What pypdf throws for objects that are not what their place says."""


@dataclass(frozen=True, slots=True)
class Value:
    """Text and where it stands, in points of the page."""

    text: str
    left: float
    bottom: float
    right: float
    top: float


def values_of(page: PageObject) -> Iterator[Value]:
    """Values and notes that the page shows; a field that stands on it twice with one value counts once."""
    from pypdf.errors import LimitReachedError, PyPdfError

    annotations, seen = _get(page, "/Annots"), set()
    for number in range(len(annotations) if isinstance(annotations, list) else 0):
        try:
            annotation = annotations[number].get_object()
            text = _shown_text(page, annotation) if isinstance(annotation, dict) else None
            name = _field_name(annotation) if text else ""
        except LimitReachedError:
            raise
        except (PyPdfError, *_BROKEN):  # one broken annotation is no reason to lose the page
            continue
        if text and (not name or (name, text) not in seen):
            seen.add((name, text))
            yield Value(text, *_rectangle(_get(annotation, "/Rect")))


def _get(found: Any, name: str) -> Any:
    value = found.get(name) if isinstance(found, dict) else None
    return value.get_object() if hasattr(value, "get_object") else value


def _shown_text(page: PageObject, annotation: Any) -> str | None:
    flags, subtype = _number(_get(annotation, "/F")), _get(annotation, "/Subtype")
    if flags & _HIDDEN or (flags & _NOT_SHOWN and not flags & _PRINTED):
        return None
    if subtype == "/Widget":
        text = _field_text(page, annotation)
    elif subtype == "/FreeText" or (subtype == "/Line" and _get(annotation, "/Cap")):
        text = _string(_get(annotation, "/Contents")) or _drawn_text(page, annotation)
    else:
        text = _drawn_text(page, annotation) if subtype in _DRAWN else None
    return (text or "").replace("\r\n", "\n").replace("\r", "\n").strip()


def _field_text(page: PageObject, widget: Any) -> str | None:
    kind, flags, value = _inherited(widget, "/FT"), _number(_inherited(widget, "/Ff")), _inherited(widget, "/V")
    if kind == "/Btn":
        return None if flags & _PUSH else _export_value(widget, value)
    if kind == "/Tx" and flags & _PASSWORD:
        return None
    found = {"/Tx": _string, "/Ch": lambda value: _choices(value, _inherited(widget, "/Opt"))}.get(kind, lambda _: None)(value)
    return found or _drawn_text(page, widget)


def _export_value(widget: Any, value: Any) -> str | None:
    """Of a check box or radio button that is on."""
    state = _get(widget, "/AS")
    if state is None:  # then the field's value names the one that is on
        states = _get(_get(widget, "/AP"), "/N")
        state = value if not isinstance(states, dict) or value in states else None
    name = state.removeprefix("/") if isinstance(state, str) else ""
    if name in ("", "Off"):
        return None
    labels = _inherited(widget, "/Opt")
    return _string(labels[int(name)]) if isinstance(labels, list) and name.isdecimal() and int(name) < len(labels) else name


def _choices(value: Any, options: Any) -> str | None:
    """The words that a list shows for what is chosen in it."""
    pairs = [option.get_object() for option in (options if isinstance(options, list) else [])]
    pairs = [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2]
    shown = {_string(pair[0]): _string(pair[1]) for pair in pairs}
    chosen = [_string(item) for item in (value if isinstance(value, list) else [value])]
    return "\n".join(shown.get(item) or item for item in chosen if item) or None


def _drawn_text(page: PageObject, annotation: Any) -> str | None:
    """The words in an annotation's own drawing."""
    drawing = _get(_get(annotation, "/AP"), "/N")
    if isinstance(drawing, dict) and not hasattr(drawing, "get_data"):  # one per state
        drawing = _get(drawing, _get(annotation, "/AS"))
    return page.extract_xform_text(drawing) if hasattr(drawing, "get_data") else None


def _inherited(field: Any, name: str) -> Any:
    for _ in range(_DEPTH):
        value = _get(field, name)
        if value is not None:
            return value
        field = _get(field, "/Parent")
    return None


def _field_name(annotation: Any) -> str:
    names = []
    for _ in range(_DEPTH):
        names.append(_string(_get(annotation, "/T")) or "")
        annotation = _get(annotation, "/Parent")
    return ".".join(filter(None, reversed(names)))


def _string(value: Any) -> str | None:
    """Of a text string or a text stream."""
    value = value.get_object() if hasattr(value, "get_object") else value
    value = value.get_data() if hasattr(value, "get_data") else value
    if isinstance(value, bytes):
        return value.decode("utf-16" if value.startswith((b"\xfe\xff", b"\xff\xfe")) else "utf-8-sig", "replace")
    return str(value) if isinstance(value, str) else None


def _number(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0


def _rectangle(corners: Any) -> tuple[float, float, float, float]:
    try:
        left, bottom, right, top = (float(corner.get_object()) for corner in corners)
    except _BROKEN:
        return 0.0, 0.0, 0.0, 0.0
    return min(left, right), min(bottom, top), max(left, right), max(bottom, top)
