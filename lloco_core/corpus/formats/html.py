"""HTML to the text a reader of the page would look for: trafilatura's, or all visible text where it finds none."""

from __future__ import annotations

from typing import Any

from lloco_core.corpus.charsets.declared import declared_label
from lloco_core.corpus.decoding import decode_text, normalise_text
from lloco_core.corpus.formats.quiet import quiet
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_INVISIBLE = "//head | //script | //style | //noscript | //template | //svg | //comment()"
_BLOCKS = ("br", "p", "div", "section", "article", "header", "footer", "nav", "aside", "main", "li", "dt", "dd", "tr", "table", "pre")
_BLOCKS += ("blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "option")


def read_html(data: bytes, max_bytes: int) -> ReadText:
    """Read a page without its navigation and footer."""
    import trafilatura

    page = decode_text(data, declared_label)
    tree = _parse(page)
    if tree is None:
        raise Rejected(Reason.HTML_NO_TEXT, "the page has no element; check how it was saved, or exclude it")
    title = _title(tree)
    with quiet("trafilatura", "htmldate", "justext"):
        text = trafilatura.extract(page, include_comments=False, include_tables=True)
    text = normalise_text(text or _visible_text(tree))
    if not text.strip():
        raise Rejected(Reason.HTML_NO_TEXT, "the page has no visible text (built by scripts?); save it as rendered, or exclude it")
    return ReadText(text, title)


def _parse(page: str) -> Any:
    import lxml.html

    # From bytes: lxml refuses a str that declares an encoding.
    parser = lxml.html.HTMLParser(encoding="utf-8")
    try:
        return lxml.html.document_fromstring(page.encode("utf-8", "replace"), parser=parser)
    except lxml.etree.ParserError:  # "Document is empty"
        return None


def _title(tree: Any) -> str | None:
    found = tree.xpath("//head/title") or tree.xpath("//h1")
    return found[0].text_content() if found else None


def _visible_text(tree: Any) -> str:
    for element in tree.xpath(_INVISIBLE):
        if element.getparent() is not None:
            element.drop_tree()
    for element in tree.iter(*_BLOCKS):
        element.tail = "\n" + (element.tail or "")
        element.text = "\n" + (element.text or "")
    lines = (" ".join(line.split()) for line in tree.text_content().splitlines())
    return "\n".join(line for line in lines if line)
