"""What inline elements are to the text: dropped, a character, or, as every other one, a wrapper around text."""

from __future__ import annotations

import re
from typing import Any

from lloco_core.corpus.formats.word.names import KNOWN, attribute, child, name, switch

DROPPED = frozenset(
    [
        *("w:del", "w:moveFrom", "w:delText", "w:delInstrText", "w14:conflictDel", "w:cellDel"),
        *("w:pPr", "w:rPr", "w:sectPr", "w:sdtPr", "w:sdtEndPr", "w:tblPr", "w:tblPrEx", "w:tblGrid", "w:trPr", "w:tcPr", "w:smartTagPr"),
        *("w:customXmlPr", "w:rt", "w:rubyPr", "w:ffData", "w:fldData", "m:ctrlPr", "m:rPr", "m:oMathParaPr"),
    ]
)
"""Deleted and moved away, properties, and the phonetic guide above other characters."""

BREAKS = {"w:tab": "\t", "w:ptab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-"}

_XML_LINE = re.compile(r"[ \t]*\n\s*")
_TEXT = frozenset(["w:t", "m:t", "a:t", "w:sym", "w16se:symEx", "v:textpath", "dgm:relIds", "w:fldChar", *BREAKS])


def branch(alternatives: Any) -> Any:
    """The one branch of `mc:AlternateContent` that is read: the first that Word understands and that holds text; empty without one."""
    understood = [item for item in alternatives if name(item) == "mc:Fallback" or (name(item) == "mc:Choice" and _is_understood(item))]
    return next((item for item in understood if any(name(inner) in _TEXT for inner in item.iter())), ())


def _is_understood(choice: Any) -> bool:
    return all((choice.nsmap.get(prefix) or "").startswith(KNOWN) for prefix in choice.get("Requires", "").split())


def controlled(control: Any) -> Any:
    """What a content control (`w:sdt`) holds; empty while it shows its placeholder."""
    properties, content = child(control, "w:sdtPr"), child(control, "w:sdtContent")
    shows_placeholder = properties is not None and switch(properties, "w:showingPlcHdr")
    return () if shows_placeholder or content is None else content


def drawing_text(element: Any) -> str:
    """The text of a paragraph of a drawing (`a:p`)."""
    parts = (item.text or "" if name(item) == "a:t" else "\n" for item in element.iter() if name(item) in ("a:t", "a:br"))
    return "".join(parts)


def run_text(element: Any) -> str:
    """The text of `w:t`: a line end in it is of the XML, as a space is shown for it."""
    text = element.text or ""
    return _XML_LINE.sub(" ", text) if "\n" in text else text


def word_art(element: Any) -> str:
    """The words of old WordArt."""
    return element.get("string") or ""


def font_of(run_properties: Any) -> str | None:
    """The font that a run names for characters of a symbol font."""
    fonts = None if run_properties is None else child(run_properties, "w:rFonts")
    return None if fonts is None else attribute(fonts, "w:ascii") or attribute(fonts, "w:hAnsi")
