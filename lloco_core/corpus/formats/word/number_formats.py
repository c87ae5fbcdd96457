"""Numbers as Word writes them in lists and notes. A format that is not known here is written in digits."""

from __future__ import annotations

import re

_ROMAN = {1000: "m", 900: "cm", 500: "d", 400: "cd", 100: "c", 90: "xc", 50: "l", 40: "xl", 10: "x", 9: "ix", 5: "v", 4: "iv", 1: "i"}
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth"}
_HAN = "〇一二三四五六七八九"

_ALPHABETS = {
    "lowerLetter": "abcdefghijklmnopqrstuvwxyz",
    "upperLetter": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "russianLower": "абвгдежзиклмнопрстуфхцчшщыэюя",
    "russianUpper": "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЫЭЮЯ",
    "hebrew2": "אבגדהוזחטיכלמנסעפצקרשת",
    "arabicAlpha": "أبتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "arabicAbjad": "أبجدهوزحطيكلمنسعفصقرشتثخذضظغ",
    "thaiLetters": "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
    "aiueoFullWidth": "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "irohaFullWidth": "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン",
    "ganada": "가나다라마바사아자차카타파하",
    "chosung": "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸",
    "chicago": "*†‡§",
}
"""After the last letter each is written twice, then three times."""
_DIGITS = {
    "decimalFullWidth": "０１２３４５６７８９",
    "thaiNumbers": "๐๑๒๓๔๕๖๗๘๙",
    "hindiNumbers": "०१२३४५६७८९",
    "ideographDigital": _HAN,
    "japaneseDigitalTenThousand": _HAN,
    "taiwaneseDigital": _HAN,
    "koreanDigital2": "零一二三四五六七八九",
}
_COUNTED = ("chineseCounting", "chineseCountingThousand", "taiwaneseCounting", "taiwaneseCountingThousand", "japaneseCounting")
_ENCLOSED = {"decimalEnclosedCircle": ("①", 20), "decimalEnclosedParen": ("⑴", 20), "decimalEnclosedFullstop": ("⒈", 20)}
"""The character of 1, and how many follow each other."""
_SAMPLE = re.compile(r"(0+)1\b")


def number_text(number: int, number_format: str) -> str:
    """A number in a format of `w:numFmt`, or like a sample ("001, 002, ...")."""
    if number_format == "none":
        return ""
    if number < 1 or number > 1_000_000:
        return f"{number:02d}" if number_format == "decimalZero" else str(number)
    if alphabet := _ALPHABETS.get(number_format):
        times, place = divmod(number - 1, len(alphabet))
        return alphabet[place] * min(times + 1, 50)
    if digits := _DIGITS.get(number_format):
        return "".join(digits[int(digit)] for digit in str(number))
    if number_format in _ENCLOSED and number <= _ENCLOSED[number_format][1]:
        return chr(ord(_ENCLOSED[number_format][0]) + number - 1)
    if number_format in _COUNTED:
        return _counted(number)
    if sample := _SAMPLE.match(number_format):
        return str(number).zfill(len(sample[1]) + 1)
    return _LATIN.get(number_format, str)(number)


def _roman(number: int) -> str:
    found = ""
    for amount, letters in _ROMAN.items():
        times, number = divmod(number, amount)
        found += letters * min(times, 50)
    return found


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _cardinal(number: int) -> str:
    if number > 99:
        return str(number)
    ones = _ONES.split()
    tens = "" if number < 20 else _TENS.split()[number // 10 - 2]
    return ones[number] if number < 20 else f"{tens}-{ones[number % 10]}" if number % 10 else tens


def _ordinal_word(number: int) -> str:
    if number > 99:
        return _ordinal(number)
    head, dash, last = _cardinal(number).rpartition("-")
    return head + dash + (_ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th"))


def _counted(number: int) -> str:
    """十一, 二十, 一百〇五: as in Chinese and Japanese, up to 9999."""
    if number > 9999:
        return str(number)
    found, pending = "", False
    for unit, power in zip(("千", "百", "十", ""), (1000, 100, 10, 1), strict=True):
        digit = number // power % 10
        if digit:
            found += ("〇" if pending and found else "") + ("" if digit == 1 and unit == "十" and not found else _HAN[digit]) + unit
        pending = digit == 0
    return found


_LATIN = {
    "decimalZero": lambda number: f"{number:02d}",
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
    "ordinal": _ordinal,
    "cardinalText": lambda number: _cardinal(number).capitalize(),
    "ordinalText": lambda number: _ordinal_word(number).capitalize(),
    "numberInDash": lambda number: f"- {number} -",
    "hex": lambda number: f"{number:X}",
}
