"""Short names (`w:p`) of the elements and attributes of Word's XML: one name for the transitional and the strict namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_OPEN, _STRICT, _OFFICE = "http://schemas.openxmlformats.org", "http://purl.oclc.org/ooxml", "http://schemas.microsoft.com/office"
NAMESPACES = {
    "w": (f"{_OPEN}/wordprocessingml/2006/main", f"{_STRICT}/wordprocessingml/main"),
    "m": (f"{_OPEN}/officeDocument/2006/math", f"{_STRICT}/officeDocument/math"),
    "r": (f"{_OPEN}/officeDocument/2006/relationships", f"{_STRICT}/officeDocument/relationships"),
    "a": (f"{_OPEN}/drawingml/2006/main", f"{_STRICT}/drawingml/main"),
    "dgm": (f"{_OPEN}/drawingml/2006/diagram", f"{_STRICT}/drawingml/diagram"),
    "mc": (f"{_OPEN}/markup-compatibility/2006",),
    "v": ("urn:schemas-microsoft-com:vml",),
    "w14": (f"{_OFFICE}/word/2010/wordml",),
    "w16se": (f"{_OFFICE}/word/2015/wordml/symex",),
    "dc": ("http://purl.org/dc/elements/1.1/",),
}
_PREFIXES = {uri: prefix for prefix, uris in NAMESPACES.items() for uri in uris}
KNOWN = (f"{_OPEN}/", f"{_STRICT}/", f"{_OFFICE}/", "urn:schemas-microsoft-com:")
"""Beginnings of the namespaces that Word understands."""


@lru_cache(4096)
def _short(tag: Any) -> str:
    if not isinstance(tag, str):  # a reference to an entity
        return ""
    uri, _, local = tag.rpartition("}")
    return f"{_PREFIXES.get(uri[1:], '')}:{local}"


def name(element: Any) -> str:
    """The short name of an element; without its prefix (`:x`) where the namespace is another one."""
    return _short(element.tag)


@lru_cache(256)
def full_names(short: str) -> tuple[str, ...]:
    """What a short name may be in full."""
    prefix, _, local = short.partition(":")
    return tuple(f"{{{uri}}}{local}" for uri in NAMESPACES[prefix])


def attribute(element: Any, short: str) -> str | None:
    """The value of an attribute, or None."""
    return next((value for full in full_names(short) if (value := element.get(full)) is not None), None)


def child(element: Any, *path: str) -> Any:
    """The first child of this name, its first child of the next name, and so on; None where there is none."""
    for short in path:
        element = next((found for found in element if name(found) == short), None)
        if element is None:
            return None
    return element


def value(element: Any, *path: str) -> str | None:
    """`w:val` of such a child."""
    found = child(element, *path)
    return None if found is None else attribute(found, "w:val")


def switch(element: Any, *path: str) -> bool | None:
    """A property that is on or off; None where it is not given."""
    found = child(element, *path)
    return None if found is None else attribute(found, "w:val") not in ("0", "false", "off")


def whole_number(text: str | None) -> int | None:
    """A number as the formats write it, or None."""
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def each(root: Any, short: str) -> Iterator[Any]:
    """All elements of this name, in the order of the document."""
    return root.iter(*full_names(short))
