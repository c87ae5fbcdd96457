"""Forms that exist as XFA only: their PDF page says "Please wait", the form itself is XML inside the file.

Words of the template in its order, each field's caption followed by what was filled in under the field's name.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from lloco_core.corpus.formats.package import local_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypdf import PdfReader


def xfa_text(reader: PdfReader) -> str | None:
    """The text of a form whose pages only exist once a viewer has built them; None for every other PDF."""
    from lxml import etree

    catalog = reader.root_object
    form = catalog.get("/AcroForm")
    packets = form.get_object().get("/XFA") if catalog.get("/NeedsRendering") and form is not None else None
    if packets is None:
        return None
    packets = packets.get_object()
    streams = [item.get_object() for item in packets] if isinstance(packets, list) else [packets]
    xml = b"".join(stream.get_data() for stream in streams if hasattr(stream, "get_data"))
    try:
        tree = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True, recover=True))
    except etree.XMLSyntaxError:
        return None
    return None if tree is None else "\n".join(_lines(tree)) or None


def _lines(tree: Any) -> Iterator[str]:
    filled = _filled(tree)
    for element in tree.iterfind(".//{*}template//*"):
        kind = local_name(element)
        if kind == "draw":
            yield from filter(None, [_words(element.find("{*}value"))])
        elif kind == "field":
            values = filled.get(element.get("name", ""))
            parts = [_words(element.find("{*}caption")), values.popleft() if values else _words(element.find("{*}value"))]
            yield from filter(None, [" ".join(filter(None, parts))])
    yield from (value for values in filled.values() for value in values)


def _filled(tree: Any) -> dict[str, deque[str]]:
    """Field name -> what was filled in, in the order of the data."""
    found: defaultdict[str, deque[str]] = defaultdict(deque)
    for element in tree.iterfind(".//{*}datasets/{*}data//*"):
        if not len(element) and (words := _words(element)):
            found[local_name(element)].append(words)
    return found


def _words(element: Any) -> str:
    return "" if element is None else " ".join(" ".join(element.itertext()).split())
