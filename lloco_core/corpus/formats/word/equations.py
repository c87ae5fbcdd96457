"""Equations in one line, as they are typed into Word: `(a+b)/2`, `x^2`, `√(x)`, `∑_(i=1)^n i`."""

from __future__ import annotations

import re
from typing import Any

from lloco_core.corpus.formats.word.inline import BREAKS, DROPPED
from lloco_core.corpus.formats.word.names import attribute, child, name
from lloco_core.corpus.formats.word.styles import hidden_by

_SIMPLE = re.compile(r"[\w.,′]*")
_CHARACTER = re.compile(r"\\(\w+)")


def equation(element: Any) -> str:
    """An element of an equation and what is in it."""
    tag = name(element)
    if tag in ("m:t", "w:t"):
        return element.text or ""
    if tag in DROPPED or (tag == "m:r" and hidden_by(child(element, "w:rPr"))):
        return ""
    if tag in BREAKS:
        return " "
    rule = _RULES.get(tag)
    return rule(element) if rule else _inside(element)


def _inside(element: Any) -> str:
    return "".join(equation(item) for item in element) if element is not None else ""


def _part(element: Any, part: str) -> str:
    return _inside(child(element, part))


def _group(text: str) -> str:
    """In parentheses unless it is one word or number, or has some already."""
    text = text.strip()
    return text if _SIMPLE.fullmatch(text) or (text.startswith("(") and text.endswith(")") and text.count("(") == 1) else f"({text})"


def _scripts(element: Any) -> str:
    sub, sup = _part(element, "m:sub"), _part(element, "m:sup")
    return (f"_{_group(sub)}" if sub.strip() else "") + (f"^{_group(sup)}" if sup.strip() else "")


def _scripted(element: Any) -> str:
    return _group(_part(element, "m:e")) + _scripts(element)


def _before(element: Any) -> str:
    return f"{_scripts(element)} {_part(element, 'm:e')}"


def _fraction(element: Any) -> str:
    return f"{_group(_part(element, 'm:num'))}/{_group(_part(element, 'm:den'))}"


def _root(element: Any) -> str:
    degree = _part(element, "m:deg").strip()
    sign = {"": "√", "3": "∛", "4": "∜"}.get(degree, f"{degree}√")
    return f"{sign}({_part(element, 'm:e')})"


def _sign(element: Any, properties: str, which: str, default: str) -> str:
    """A character that the properties of an element name; an empty one is none."""
    found = child(element, properties, which)
    given = None if found is None else attribute(found, "m:val")
    return default if given is None else given


def _large_operator(element: Any) -> str:
    return f"{_sign(element, 'm:naryPr', 'm:chr', '∫')}{_scripts(element)} {_part(element, 'm:e')}"


def _delimited(element: Any) -> str:
    between = _sign(element, "m:dPr", "m:sepChr", "|")
    inner = between.join(_inside(item) for item in element if name(item) == "m:e")
    return _sign(element, "m:dPr", "m:begChr", "(") + inner + _sign(element, "m:dPr", "m:endChr", ")")


def _function(element: Any) -> str:
    return f"{_part(element, 'm:fName')} {_part(element, 'm:e')}"


def _limit(mark: str) -> Any:
    return lambda element: f"{_part(element, 'm:e')}{mark}{_group(_part(element, 'm:lim'))}"


def _rows(element: Any) -> str:
    rows = [[_inside(cell) for cell in row if name(cell) == "m:e"] for row in element if name(row) == "m:mr"]
    return "; ".join(", ".join(row) for row in rows)


def _lines(element: Any) -> str:
    return "; ".join(_inside(item) for item in element if name(item) == "m:e")


_RULES = {
    "m:sSub": _scripted,
    "m:sSup": _scripted,
    "m:sSubSup": _scripted,
    "m:sPre": _before,
    "m:f": _fraction,
    "m:rad": _root,
    "m:nary": _large_operator,
    "m:d": _delimited,
    "m:func": _function,
    "m:limLow": _limit("_"),
    "m:limUpp": _limit("^"),
    "m:m": _rows,
    "m:eqArr": _lines,
}


def equation_field(code: str) -> str:
    r"""What an `EQ` field shows, the equations and phonetic guides of old documents: `EQ \f(1,2)`, `EQ \o(\s\up 9(ruby),base)`."""
    return _read_field(code, 0, "")[0].strip()


def _read_field(code: str, at: int, closing: str) -> tuple[str, int]:
    """The text from a place to the closing parenthesis, and the place behind it."""
    parts, text = [], ""
    while at < len(code) and code[at] != closing:
        switch = _CHARACTER.match(code, at)
        if switch:
            opening = code.find("(", at)
            if opening < 0:
                return "".join(parts) + text, len(code)
            inner, behind = _read_field(code, opening + 1, ")")
            text, at = text + _switched(code[at:opening], inner), behind
        elif code[at] in ",;" and closing:
            parts.append(text)
            text, at = "", at + 1
        else:
            text, at = text + code[at], at + 1
    return "\x00".join([*parts, text]) if closing else text, at + 1


def _switched(switches: str, inner: str) -> str:
    arguments = inner.split("\x00")
    kind = _CHARACTER.findall(switches)[0].lower()
    if kind == "s" and "\\up" in switches.lower():
        return "\x01"  # raised above something: a phonetic guide when it stands in an overstrike
    if kind == "f" and len(arguments) == 2:
        return "/".join(map(_group, arguments))
    if kind == "r":
        return f"√({arguments[-1]})"
    joined = {"l": ",", "a": " ", "i": " "}.get(kind, "").join(arguments)
    return f"({joined})" if kind == "b" else joined.replace("\x01", "") if kind == "o" else joined
