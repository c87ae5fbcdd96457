"""Values of spreadsheet cells as the sheet shows them: `25%` and `1,234.50`, not `0.25` and `1234.5`. Dates are written as in ISO 8601."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal

_LITERAL = re.compile(r'"([^"]*)"|\\(.)|_.|\*.|\[\$([^\]-]*)(?:-[^\]]*)?\]|\[[^\]]*\]')
_DIGITS = re.compile(r"[#0?][#0?,.]*|\.[#0?]+")
_UNKNOWN = re.compile(r"[A-Za-z/@]")
_QUOTED = "\ue000{}\ue001"
"""Around the code points of a literal while the digits are looked for."""
_HELD = re.compile("\ue000([0-9,]*)\ue001")
_SIGNIFICANT = 15
"""Digits that a spreadsheet keeps of a number."""
_LARGEST = 1e15


def shown(value: object, number_format: str = "General") -> str:
    """A cell's value as text; empty for an empty cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.isoformat("minutes" if not value.second else "seconds")
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    if isinstance(value, int | float):
        return _formatted(value, number_format) or _general(value)
    return str(value)


def _moment(value: datetime) -> str:
    value = (value + timedelta(milliseconds=500)).replace(microsecond=0) if value.microsecond else value
    if value.time() == time():
        return value.date().isoformat()
    return value.isoformat(" ", "minutes" if not value.second else "seconds")


def _general(value: float) -> str:
    if abs(value) < _LARGEST and value == int(value):
        return str(int(value))
    return f"{value:.{_SIGNIFICANT}g}"


def _formatted(value: float, number_format: str) -> str | None:
    """The value in a format of digits; None where the format is none, or none that is known here."""
    sections = number_format.split(";")
    negative = value < 0
    section = sections[1] if negative and len(sections) > 1 else sections[2] if value == 0 and len(sections) > 2 else sections[0]
    plain = _LITERAL.sub(_hold, section)
    digits = _DIGITS.search(plain)
    if digits is None or _UNKNOWN.search(plain) or abs(value) >= _LARGEST:
        return None
    scaled = Decimal(str(abs(value))) * (100 if "%" in plain else 1)
    sign = "-" if negative and len(sections) == 1 else ""
    text = plain[: digits.start()] + _digits(scaled, digits[0]) + plain[digits.end() :]
    return sign + _HELD.sub(lambda found: "".join(chr(int(code)) for code in found[1].split(",") if code), text).strip()


def _hold(literal: re.Match[str]) -> str:
    text = literal[1] or literal[2] or literal[3] or ""
    return _QUOTED.format(",".join(str(ord(character)) for character in text)) if text else ""


def _digits(value: Decimal, pattern: str) -> str:
    digits = pattern.rstrip(",")
    whole, _, decimals = digits.partition(".")
    scaled = value / 1000 ** (len(pattern) - len(digits))
    places = len(decimals)
    rounded = scaled.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    text = f"{rounded:,f}" if "," in whole else f"{rounded:f}"
    head, dot, tail = text.partition(".")
    needed = decimals.rstrip("#").count("0")
    while len(tail) > needed and tail.endswith("0"):
        tail = tail[:-1]
    return head.zfill(whole.count("0")) + (dot + tail if tail else "")
