"""All visible text of a page of HTML or XHTML, with nothing taken for boilerplate: chapters of books and bodies of mails.

Web pages go through `html.py`, which leaves navigation out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from html.entities import html5
from typing import Any

from lloco_core.corpus.formats.package import local_name
from lloco_core.corpus.reasons import Reason, Rejected

_HIDDEN = {"head", "script", "style", "noscript", "template", "title", "svg", "object"}
_BLOCKS = {"address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "div", "dl", "dt", "fieldset"}
_BLOCKS |= {"figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "legend", "li", "main", "nav"}
_BLOCKS |= {"ol", "option", "p", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"}
_CELLS = {"td", "th"}
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*;)")
_OF_XML = {"amp;", "lt;", "gt;", "quot;", "apos;"}
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_XHTML = b"http://www.w3.org/1999/xhtml"
_TOO_DEEP = "xcessive depth"
"""In what lxml logs where it drops the rest of a page."""
_BLANK = re.compile(r"[^\S\n]+")


def markup_text(page: str) -> str:
    """The visible text, a block or table row per line; cells are separated by tabs, `pre` keeps its lines."""
    tree = _parse(page)
    if tree is None:
        return ""
    lines = "".join(_pieces(tree)).split("\n")
    cleaned = ("\t".join(_BLANK.sub(" ", cell).strip() for cell in line.split("\t")).strip() for line in lines)
    return "\n".join(line for line in cleaned if line)


def _parse(page: str) -> Any:
    """As XHTML where it is that, as a browser reads HTML otherwise: to HTML `<title/>` opens an element that never ends."""
    from lxml import etree, html

    named = _ENTITY.sub(lambda found: found[0] if found[1] in _OF_XML else html5.get(found[1], found[0]), page)
    data = _DECLARATION.sub("", named).encode("utf-8", "replace")
    options = {"encoding": "utf-8", "remove_pis": True, "no_network": True, "huge_tree": True}  # embedded pictures are long attributes
    if _XHTML in data[:4096]:
        with suppress(etree.XMLSyntaxError):
            return etree.fromstring(data, etree.XMLParser(resolve_entities=False, **options))
    parser = html.HTMLParser(**options)
    try:
        tree = html.document_fromstring(data, parser=parser)
    except (etree.ParserError, ValueError):  # nothing in it
        tree = None
    if any(_TOO_DEEP in entry.message for entry in parser.error_log):
        raise Rejected(Reason.FILE_DAMAGED, "has elements nested thousands deep, which are not read; flatten or exclude it")
    return tree


def _pieces(tree: Any) -> Iterator[str]:
    """Text with line ends around blocks and tabs behind cells. Not recursive: pages are nested thousands deep."""
    stack: list[tuple[Any, bool]] = [(tree, False)]
    while stack:
        element, left = stack.pop()
        name = local_name(element).lower()
        if left:
            yield ("\n" if name in _BLOCKS or name == "pre" else "\t" if name in _CELLS else "") + _flow(element.tail, element.getparent())
            continue
        if not name or name in _HIDDEN:
            yield _flow(element.tail, element.getparent()) if element is not tree else ""
            continue
        yield ("\n" if name in _BLOCKS or name == "pre" else "") + _flow(element.text, element)
        stack.append((element, True))
        stack.extend((child, False) for child in reversed(element))


def _flow(text: str | None, holder: Any) -> str:
    """Text between elements: its line ends are blanks, but in `pre`."""
    if not text or holder is None:
        return ""
    return text if local_name(holder).lower() in ("pre", "textarea") else re.sub(r"\s+", " ", text)
