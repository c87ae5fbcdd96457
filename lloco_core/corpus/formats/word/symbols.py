"""Characters of symbol fonts, which Word stores as numbers of the font (U+F020 to U+F0FF), in Unicode."""

from __future__ import annotations

import re

_PRIVATE = re.compile("[\uf020-\uf0ff]")

_SYMBOL = (
    dict(
        enumerate(
            " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼",
            start=0x20,
        )
    )
    | dict(
        enumerate(
            "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪",
            start=0xA0,
        )
    )
    | dict(enumerate("〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭", start=0xF1))
)

_WINGDINGS = {
    **dict(enumerate("♈♉♊♋♌♍♎♏♐♑♒♓", start=0x5E)),
    **dict(enumerate("①②③④⑤⑥⑦⑧⑨⑩", start=0x81)),
    **dict(enumerate("❶❷❸❹❺❻❼❽❾❿", start=0x8C)),
    **dict(enumerate("←→↑↓↖↗↙↘", start=0xDF)),
    **dict(enumerate("⇦⇨⇧⇩⬄⇳", start=0xEF)),
    **{0x20: " ", 0x28: "☎", 0x2A: "✉", 0x36: "⌛", 0x4A: "☺", 0x4C: "☹", 0x4E: "☠", 0x52: "☼", 0x54: "❄", 0x58: "✠", 0x59: "✡"},
    **{0x6C: "●", 0x6D: "❍", 0x6E: "■", 0x6F: "□", 0x71: "❑", 0x72: "❒", 0x75: "◆", 0x76: "❖", 0x77: "◆", 0x9E: "·", 0x9F: "•"},
    **{0xA0: "▪", 0xA1: "○", 0xA7: "▪", 0xA8: "□", 0xAB: "★", 0xD8: "➢", 0xE8: "➔", 0xF0: "⇨"},
    **{0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑"},
}
_WINGDINGS_2 = {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0x55: "⊗", 0x97: "●", 0xA3: "□"}
_WEBDINGS = {0x34: "▶", 0x35: "▲", 0x36: "▼", 0x61: "✓", 0x63: "□", 0x67: "■", 0x6E: "●", 0x72: "✗"}
_FONTS = {"symbol": _SYMBOL, "wingdings": _WINGDINGS, "wingdings 2": _WINGDINGS_2, "webdings": _WEBDINGS}


def symbol(number: str | None, font: str | None) -> str:
    """The character of `w:sym`: a hexadecimal number in a font. Pictures without a character are nothing."""
    try:
        code = int(number or "", 16)
        char = chr(code)
    except (ValueError, OverflowError):
        return ""
    table = _FONTS.get((font or "").lower())
    if table is not None:
        return table.get(code & 0xFF if 0xF000 <= code <= 0xF0FF else code, "")
    return "" if 0xE000 <= code <= 0xF8FF or 0xD800 <= code <= 0xDFFF else char


def symbol_text(text: str, font: str | None) -> str:
    """Text of a run: what it has of a symbol font becomes characters, the rest stays."""
    if text.isascii():
        return text
    table = _FONTS.get((font or "").lower(), {})
    return _PRIVATE.sub(lambda found: table.get(ord(found[0]) & 0xFF, found[0]), text)
