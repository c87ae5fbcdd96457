"""How odd a reading of bytes is: a wrong encoding puts letters of other scripts, symbols, and capitals inside words.

Every character becomes its class, one letter of a string in which the odd places are found by one expression.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache

_SCRIPTS = {"GREEK": "g", "COPTIC": "g", "CYRILLIC": "c", "HEBREW": "h", "ARABIC": "r", "THAI": "t", "HANGUL": "k", "HIRAGANA": "k"}
_SCRIPTS |= {"KATAKANA": "k", "CJK": "k", "BOPOMOFO": "k", "KATAKANA-HIRAGANA": "k"}
_JOINING = set("\u00ad\u00b7\u2010\u2011\u2012\u2013\u2014\u2018\u2019\u2026\u200b\u200c\u200d\u200e\u200f\u05f3\u05f4\ufffd")
"""Not letters, but found inside words."""
_CLOSING = set("«»“”™®©ºª°²³¹¼½¾€")
"""Symbols that are found behind a word, not inside it."""
_FINAL = set("ςךםןףץ")
"""Letters that only end a word."""
_LETTERS = "abAB"
_OTHERS = "gGcChHrf"
_ODD = re.compile(
    "!"  # no character of text
    f"|[{_LETTERS}][{_OTHERS}]|[{_OTHERS}][{_LETTERS}]"  # two scripts in one word
    "|[gG][cChHrf]|[cC][gGhHrf]|[hf][gGcCr]|r[gGcChf]"
    "|[ab]k{1,2}[ab]|[abAB]t[abAB]"
    "|[ab]A|aB|[AB]a[AB]|cC|gG|(?<=[ab] )A(?= [ab])"  # a capital behind a small letter, or alone among small ones
    "|f(?=[ghf])"  # the end of a word inside it
    f"|[{_LETTERS}{_OTHERS}]\\*"  # a symbol that no word ends with
    f"|(?<![#])#(?=[{_LETTERS}{_OTHERS}.])|[{_LETTERS}{_OTHERS}.]#(?!#)"  # a piece of a frame at a word
    f'|[*"]{{2,}}(?=[{_LETTERS}{_OTHERS}])|[{_LETTERS}{_OTHERS}]"{{2,}}'  # several symbols at a word
    f'|[{_LETTERS}{_OTHERS}]"+(?=[{_LETTERS}{_OTHERS}])'  # a symbol inside a word
)
_ALONE = re.compile(f"(?<![{_LETTERS}{_OTHERS}tkm'])[{_OTHERS}](?![{_LETTERS}{_OTHERS}tkm'])")
_MOSTLY_LATIN = 4
"""Latin letters per other letter from which a word of one other letter is odd."""
_SAMPLE = 16_384
_ENOUGH, _COMMONEST = 25, 0.45
"""Letters from which their shares say something, and what no letter of a language reaches: the lead byte of a wrong encoding does."""
_NONSENSE = 0.4
"""Share of odd characters from which a declared encoding is not believed."""
_FEW = 8


def odd_share(text: str) -> float:
    """Share of the characters beyond ASCII that stand at odd places, 0 to 1; 1 where one letter is far too frequent for any language."""
    wide = sum(not character.isascii() for character in text)
    if not wide:
        return 0.0
    counted = Counter(character for character in text if character.isalpha())
    commonest = max((number for letter, number in counted.items() if not letter.isascii()), default=0)
    if counted.total() >= _ENOUGH and commonest > _COMMONEST * counted.total():
        return 1.0
    classes = text.translate({ord(character): _class(character) for character in set(text)})
    odd = sum(1 for _ in _ODD.finditer(classes))
    others = sum(map(classes.count, _OTHERS))
    if others and others * _MOSTLY_LATIN <= sum(map(classes.count, _LETTERS)):
        odd += sum(1 for _ in _ALONE.finditer(classes))
    return min(1.0, odd / wide)


def is_odd(text: str) -> bool:
    """Whether text read by a declared encoding is nonsense: odd, or of Latin letters that are mostly none of ASCII."""
    sample = text[:_SAMPLE]
    if len(sample) < len(text) and sample.isascii():
        sample = text[-_SAMPLE:]
    letters = [character for character in sample if _class(character) in _LETTERS]
    n_wide = sum(not character.isascii() for character in letters)
    return odd_share(sample) > _NONSENSE or (n_wide >= _FEW and n_wide * 2 > len(letters))


@cache
def _class(character: str) -> str:
    if character.isascii():
        return "b" if character.islower() else "B" if character.isupper() else character if character in " \n\t" else "."
    if character in _JOINING:
        return "'"
    if "\u2500" <= character <= "\u259f":
        return "#"
    category = unicodedata.category(character)
    if category in ("Cc", "Co", "Cn", "Cs"):
        return "!"
    if category[0] == "M":
        return "m"
    if "\u02c6" <= character <= "\u02ff":
        return "*"
    if character in _CLOSING:
        return '"'
    if category[0] != "L":
        return "." if category[0] == "Z" else "*"
    script = unicodedata.name(character, "").split(" ")[0]
    if character in _FINAL:
        return "f"
    if script not in _SCRIPTS:
        return "A" if category == "Lu" else "a" if script == "LATIN" else "*" if script in ("FEMININE", "MASCULINE", "MICRO") else "o"
    kind = _SCRIPTS[script]
    return kind.upper() if category == "Lu" else kind
