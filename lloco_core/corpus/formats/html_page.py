"""A page as its reader sees it: the element tree without what a browser does not show, and its words in lines.

Hidden by style sheets is not seen here: only the attribute `hidden` and the style on the element itself.
"""

from __future__ import annotations

import re
from typing import Any

from lloco_core.corpus.decoding import squeezed
from lloco_core.corpus.reasons import Reason, Rejected

_UNSEEN = """//title[not(ancestor::svg)] | //script | //style | //noscript | //noframes | //svg | //comment()
    | //template[not(@shadowrootmode or @shadowroot)] | //processing-instruction() | //object | //datalist | //dialog[not(@open)]
    | //input[@type='hidden'] | //*[@hidden and not(@hidden='until-found')]"""
_STYLED = "//*[@style][not(self::html or self::body)]"
_HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
_CONSENT = re.compile(
    r"(?:^|[\s_-])(?:cookies?|gdpr|consent)[_-]?(?:consent|banner|bar|notice|notification|popup|modal|dialog|overlay|wall|law|message|"
    r"manager|settings|prompt|container|box|warning|info)(?:$|[\s_-])|onetrust|cookiebot|cybot|didomi|usercentrics|truste|qc-cmp|"
    r"sp_message|osano|termly|klaro|iubenda|borlabs|tarteaucitron|cookieyes|cky-|cc-window",
    re.IGNORECASE,
)
_CONSENT_CHARACTERS = 3000
"""A longer element with such a name is about cookies, not asking for them."""
_MOUNTS = {"root", "app", "__next", "__nuxt", "___gatsby", "main-app", "react-root", "application", "svelte", "ember"}
_WAITING, _NOTICE = 40, 300
"""Characters that a script's place has at most before the script fills it, and that a notice without it has at most."""
_BLOCKS = {"br", "p", "div", "section", "article", "header", "footer", "nav", "aside", "main", "li", "dt", "dd", "tr", "table", "pre", "hr"}
_BLOCKS |= {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "option", "select", "caption", "figcaption", "summary", "details", "form"}
_BLOCKS |= {"fieldset", "legend", "address", "ul", "ol", "dl", "textarea", "body"}
_CELL, _BLANK = "\x00", "\x01"
"""Between cells, and in code, until white space is squeezed: no text holds them."""
_DEEPEST = 2048
"""Elements within each other, by libxml2."""
_TYPED = {"text", "email", "number", "tel", "url", "date", "time", "month", "search"}
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
"""Soft hyphens and places to break a line. Joiners stay: Persian, Indic scripts, and emoji need them."""


def parse_page(page: str) -> Any:
    """The element tree of a page, None where it has no element.

    Raises:
        Rejected: `file_damaged`, when it is nested so deep that its rest is not read.
    """
    import lxml.html

    # From bytes: lxml refuses a str that declares an encoding. Without huge_tree it stops at an attribute or text of 10 MB.
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = lxml.html.document_fromstring(page.encode("utf-8", "replace"), parser=parser)
    except lxml.etree.ParserError:  # "Document is empty"
        return None
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log.filter_from_fatals()):
        message = f"is nested more than {_DEEPEST} deep, so that its rest is not read; close its elements, or save it as rendered"
        raise Rejected(Reason.FILE_DAMAGED, message)
    return tree


def remove_unseen(tree: Any) -> None:
    """Take out of a page what a browser with scripts does not show. Its head may hold text: libxml2 ends it late."""
    hidden = [element for element in tree.xpath(_STYLED) if _HIDING.search(element.get("style"))]
    for element in [*tree.xpath(_UNSEEN), *hidden]:
        remove(element)
    for element in tree.xpath("//*[@id or @class]"):
        named = _CONSENT.search(f"{element.get('id', '')} {element.get('class', '')}")
        if named and element.tag not in ("html", "body", "main", "article") and len(element.text_content()) < _CONSENT_CHARACTERS:
            remove(element)
    for element in tree.xpath("//*[starts-with(@src, 'data:') or starts-with(@href, 'data:')]"):
        element.attrib.pop("src", None)  # megabytes that every later step would copy
        element.attrib.pop("href", None)


def remove(element: Any) -> None:
    """Take an element out and leave what follows it."""
    if element.getparent() is not None:
        element.drop_tree()


def is_shell(tree: Any, text: str, has_scripts: bool) -> bool:
    """Whether the visible text of a page is only what stands there until, or unless, its scripts run."""
    if not has_scripts or len(text) > _NOTICE:
        return False
    if "javascript" in text.lower():
        return True
    places = [element for element in tree.iter() if isinstance(element.tag, str) and _is_mount(element)]
    return len(text) <= _WAITING and any(squeezed(place.text_content()) == squeezed(text) for place in places)


def _is_mount(element: Any) -> bool:
    return element.get("id") in _MOUNTS or element.tag == "app-root" or "data-reactroot" in element.attrib


def visible_text(tree: Any) -> str:
    """The words of a tree in lines, cells of a row separated by tabs, code as it is indented."""
    from lxml.etree import iterwalk

    parts: list[str] = []
    n_code = 0
    for event, element in iterwalk(tree, events=("start", "end")):
        around = "\n" if element.tag in _BLOCKS else ""
        if event == "start":
            n_code += element.tag == "pre"
            parts += (around, _kept_blanks(element.text or "") if n_code else element.text or "")
        else:
            n_code -= element.tag == "pre"
            parts += (around or _behind(element), _kept_blanks(element.tail or "") if n_code else element.tail or "")
    lines = ("\t".join(" ".join(cell.split()) for cell in line.split(_CELL)).strip() for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line.strip(_BLANK)).replace(_BLANK, " ")


def _kept_blanks(code: str) -> str:
    return code.replace(" ", _BLANK).replace("\t", 4 * _BLANK)


def _behind(element: Any) -> str:
    if element.tag in ("td", "th"):
        return _CELL
    return f" {element.get('value', '')} " if element.tag == "input" and element.get("type", "text").lower() in _TYPED else ""


def without_invisible(text: str) -> str:
    """Text without characters of no width that only say where a line may break."""
    return _INVISIBLE.sub("", text)
