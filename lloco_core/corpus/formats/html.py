"""HTML to the text a reader of the page would look for: trafilatura's, or all visible text where it finds none or loses some of it."""

from __future__ import annotations

import re
from collections import Counter
from copy import deepcopy
from typing import Any

from lloco_core.corpus.charsets.declared import declared_label
from lloco_core.corpus.decoding import decode_text, normalise_text
from lloco_core.corpus.formats.html_page import is_shell, parse_page, remove, remove_unseen, visible_text, without_invisible
from lloco_core.corpus.formats.html_streamed import put_in_place
from lloco_core.corpus.formats.quiet import quiet
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_AROUND = """//nav | //footer | //aside | //header[not(ancestor::article or ancestor::main)] | //menu | //button | //iframe
    | //*[@role='navigation' or @role='banner' or @role='contentinfo' or @role='complementary' or @role='search']"""
"""What stands around the content, by what the page says of it."""
_NAMED = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|menu|sidebar|footer|breadcrumbs?|share|social|related|comments?|advert\w*|ads?|promo|newsletter|"
    r"pagination|pager|toolbar|login|skip|widget|teaser|toc)(?:$|[\s_-])",
    re.IGNORECASE,
)
"""Names that pages give to what stands around their content."""
_WORD = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\\W\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_LINKED_BLOCKS = ("ul", "ol", "div", "p", "table")
_MOST_LINKED, _FEW_LINKS = 0.6, 3
_LEAST_KEPT = 0.95
"""Share of the content's words from which trafilatura has kept it."""
_LEAST_OF_MAIN = 0.8
"""The same of the element that the page calls its main one; below, it is not."""
_MOST_REPEATED = 1.1
"""Times the words of the page that its text may have; more: trafilatura has taken a part twice."""


def read_html(data: bytes, max_bytes: int) -> ReadText:
    """Read a page without its navigation and footer."""
    tree = parse_page(decode_text(data, declared_label))
    if tree is None:
        raise Rejected(Reason.HTML_NO_TEXT, "the page has no element; check how it was saved, or exclude it")
    title, has_scripts = _title(tree), bool(tree.xpath("//script"))
    put_in_place(tree)
    remove_unseen(tree)
    visible = visible_text(tree)
    if not visible or is_shell(tree, visible, has_scripts):
        raise Rejected(Reason.HTML_NO_TEXT, "the page has no visible text (built by scripts?); save it as rendered, or exclude it")
    return ReadText(normalise_text(without_invisible(_content(tree, visible))), title)


def _title(tree: Any) -> str | None:
    found = tree.xpath("//head/title") or tree.xpath("//h1")
    return found[0].text_content() if found else None


def _content(tree: Any, visible: str) -> str:
    import trafilatura

    with quiet("trafilatura", "htmldate", "justext"):
        found = trafilatura.extract(deepcopy(tree), include_comments=False, include_tables=True)
    if not found:
        return visible
    _remove_around(tree)
    content, main = visible_text(tree), tree.xpath("//main | //*[@role='main']")
    main_text = visible_text(main[0]) if len(main) == 1 else ""
    _remove_named(tree)
    kept, wanted = _words(found), _words(visible_text(tree))
    if not wanted:  # all of the page is what usually stands around the content
        return visible
    headings = _words("\n".join(element.text_content() for element in tree.iter(*_HEADINGS)))
    is_whole = _holds(kept, wanted, _LEAST_KEPT) and _holds(kept, headings, 1)
    if is_whole and kept.total() <= _MOST_REPEATED * _words(visible).total():
        return found
    return main_text if _holds(_words(main_text), wanted, _LEAST_OF_MAIN) else content or visible


def _holds(words: Counter[str], wanted: Counter[str], share: float) -> bool:
    return (wanted & words).total() >= share * wanted.total()


def _words(text: str) -> Counter[str]:
    """Words, and single characters where words are not separated."""
    return Counter(_WORD.findall(text))


def _remove_around(tree: Any) -> None:
    for element in tree.xpath(_AROUND):
        remove(element)


def _remove_named(tree: Any) -> None:
    for element in tree.xpath("//*[@id or @class]"):
        if element.tag not in ("html", "body", "main", "article") and _NAMED.search(f"{element.get('id', '')} {element.get('class', '')}"):
            remove(element)
    for element in _blocks_of_links(tree):
        remove(element)


def _blocks_of_links(tree: Any) -> list[Any]:
    """Blocks whose words are mostly links; one walk, as a page may be nested thousands deep."""
    from lxml.etree import iterwalk

    found, sizes = [], {}
    for _, element in iterwalk(tree, events=("end",)):
        children = [(sizes.pop(child, (0, 0, 0)), len(child.tail or "")) for child in element]
        length = len(element.text or "") + sum(size[0] + tail for size, tail in children)
        linked, n_links = (sum(size[part] for size, _ in children) for part in (1, 2))
        sizes[element] = (length, length, n_links + 1) if element.tag == "a" else (length, linked, n_links)
        if element.tag in _LINKED_BLOCKS and n_links >= _FEW_LINKS and linked > _MOST_LINKED * length:
            found.append(element)
    return found
