"""Whether a page's text layer is language: fonts without a way back to characters leave glyph names, codes, or shifted letters.

A page counts as without text when more than `_MOST_ODD` of it are no characters, or when its letters have the frequencies of a
language in the wrong places. Both are shares, so that a bullet from a symbol font or a table of codes costs no page.
"""

from __future__ import annotations

import re
import unicodedata
from string import ascii_lowercase

_MOST_ODD = 0.3
_ODD = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff]")
"""Control characters, private use, and the sign for what cannot be read."""
_GLYPH_NAMES = re.compile(r"(?:/(?:[A-Za-z]{1,6}_?\d{1,5}|[A-Za-z]_?[0-9A-F]{2,4}|\.notdef)(?![a-z])\s*){2,}|\(?\bcid:\d+\)?")
_SINGLE_NAMES = re.compile(r"/(?:[gG]|gid|glyph|index)_?\d{1,5}")
"""Between letters: of some characters the font says what they are."""
_SAMPLE = 2000
"""Characters that letter frequencies are taken from."""
_FEWEST_LETTERS, _FEWEST_DIFFERENT = 200, 12
_MOST_OTHERS = 0.4
"""Share of letters below which a page is a table of figures, of which letters say nothing."""
_COMMON = "eaionrst"
"""At least half of the letters of a text in any language in the Latin script, marks taken off (Polish 51 %, English 63 %)."""
_LEAST_COMMON = 0.4
_UNEVEN = 0.05
"""Chance that two letters of a text are equal: 0.06 to 0.08 in languages, 0.04 where all are equally frequent (keys, base64)."""

_FEWEST_MISTAKEN, _MOST_MARKED = 40, 0.6
"""Letters, and the share of them with marks, that no language in the Latin script reaches."""


def is_language(text: str) -> bool:
    """Whether what a text layer holds can be read. False also for a layer of nothing but white space."""
    length = len(text) - sum(map(text.count, " \n\t\r\u00a0"))
    if length <= 0 or _n_odd(text) > _MOST_ODD * length:
        return False
    sample = text[:_SAMPLE]
    return not (_is_shifted(sample) or _is_mistaken_for_latin(sample))


def _n_odd(text: str) -> int:
    odd = text.count("\ufffd") if text.replace("\n", "").isprintable() else len(_ODD.findall(text))
    if "/" in text or "cid:" in text:
        odd += max(sum(map(len, names.findall(text))) for names in (_GLYPH_NAMES, _SINGLE_NAMES))
    return odd


def _is_shifted(text: str) -> bool:
    """Whether letters stand for others: glyph numbers taken for characters."""
    plain = (text if text.isascii() else unicodedata.normalize("NFKD", text)).lower()
    if sum(map(plain.count, _COMMON)) > _LEAST_COMMON * len(plain):  # so they are in any share of it
        return False
    letters = {letter: plain.count(letter) for letter in ascii_lowercase}
    total = sum(letters.values())
    if total < max(_FEWEST_LETTERS, _MOST_OTHERS * len(text)) or sum(map(bool, letters.values())) < _FEWEST_DIFFERENT:
        return False
    common = sum(letters[letter] for letter in _COMMON) / total
    return common < _LEAST_COMMON and sum(count * count for count in letters.values()) > _UNEVEN * total**2


def _is_mistaken_for_latin(text: str) -> bool:
    """Whether another script is written in the letters with marks of Latin-1: Cyrillic or Greek through a Western encoding."""
    if text.isascii():
        return False
    letters = [character for character in text if character.isalpha()]
    marked = sum("\u00c0" <= letter <= "\u00ff" for letter in letters)
    return len(letters) >= _FEWEST_MISTAKEN and marked > _MOST_MARKED * len(letters)
