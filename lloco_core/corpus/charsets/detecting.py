"""The encoding of bytes that say nothing of it: chardet's ranking, corrected by how odd every reading is, and refused where it is close.

chardet compares pairs of bytes with those of 49 languages in 99 encodings. It is shown a sample, so that its time has a bound.
`python -m benchmarks.encodings` measures what comes of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lloco_core.corpus.charsets.labels import codec_of
from lloco_core.corpus.charsets.plausible import odd_share
from lloco_core.corpus.reasons import Reason, Rejected

SAMPLE = 16_384
"""Bytes that are looked at; chardet's statistics take no more."""
_WIDE_LINES = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")
_FOUR_BYTES = re.compile(rb"[\x81-\xfe][0-9][\x81-\xfe][0-9]")
"""Characters that only GB18030 has; in others, a letter, a digit, a letter, and a digit."""
_WIDE_BYTES = bytes(range(128, 256))
_WORTH = 0.1
"""Share of the best confidence from which an encoding is read at all."""
_FEW = 4
"""Bytes beyond ASCII up to which every encoding is read."""
_RIVALS = 8
"""Readings that the best one is compared with."""
_MOST_ODD = 0.3
"""Share of odd characters from which no reading is text."""
_POOR = 0.1
"""Score below which no language is recognised, where `_MANY` bytes beyond ASCII speak; of fewer less is asked. Text in languages that
chardet has no statistics of stays below."""
_MANY = 50
_ALIKE = 0.5
"""Share of equal characters from which another reading is no rival: a few letters differ."""
_PERSONAL = re.compile("cp(437|7|8[5-6])|mac-|cp037|cp[15]00|cp1140|cp273|johab")
"""Encodings of DOS, of the Macintosh, and of mainframes: likely only where something speaks for them."""
_OBSCURE = {"cp1006", "cp1125", "cp720", "cp856", "cp860", "cp861", "cp863", "cp864", "cp865", "hp-roman8", "koi8-t", "kz1048", "ptcp154"}
_OBSCURE |= {"iso8859-3", "iso8859-4", "iso8859-10", "iso8859-14", "iso8859-16", "mac-iceland", "mac-turkish"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one encoding makes of the sample, and how well that looks."""

    codec: str
    text: str
    odd: float
    score: float


def detect(data: bytes) -> str:
    """The codec of text in an unknown encoding.

    Raises:
        Rejected: `undecodable`, when no encoding gives text, or two different texts are about as likely.
    """
    sample = sample_of(data)
    if len(_FOUR_BYTES.findall(sample)) > 1 and _read(sample, "gb18030") is not None:
        return "gb18030"
    readings, n_wide = _readings(sample), _n_wide(sample)
    if not readings or readings[0].odd > _MOST_ODD:
        raise Rejected(Reason.UNDECODABLE, f"no character encoding fits these {len(data)} bytes; save the file again as UTF-8")
    best, enough = readings[0], 1 - min(0.2, 0.3 / n_wide)
    if best.score < _POOR * min(1, n_wide / _MANY) ** (1 if best.codec == "cp1252" else 0.5):
        raise _refusal(f"fits no encoding well, {best.codec} ({_shown(best.text)}) least badly")
    for rival in readings[1 : 1 + _RIVALS]:
        close = _weighed(rival, n_wide) > enough * _weighed(best, n_wide)
        if close and _likeness(best.text, rival.text) < _ALIKE:
            raise _refusal(f"may be {best.codec} ({_shown(best.text)}) or {rival.codec} ({_shown(rival.text)})")
    return best.codec


def _refusal(found: str) -> Rejected:
    return Rejected(Reason.UNDECODABLE, f"{found}; state its encoding in corpus.encoding, or save the file again as UTF-8")


def sample_of(data: bytes) -> bytes:
    """The first lines with bytes beyond ASCII, cut between characters where that can be seen."""
    if len(data) <= SAMPLE:
        return data
    lines: list[bytes] = []
    size = 0
    for match in _WIDE_LINES.finditer(data):
        lines.append(match.group()[: SAMPLE - size])
        size += len(lines[-1])
        if size >= SAMPLE:
            break
    return b"".join(lines)


def _readings(sample: bytes) -> list[Reading]:
    """The best first, one for every different text."""
    import chardet

    # Without `<`, so that no label is taken from markup: it was refused before.
    found = chardet.detect_all(sample.replace(b"<", b" "), ignore_threshold=True, compat_names=False)
    n_wide = _n_wide(sample)
    worth = _WORTH * found[0]["confidence"] if n_wide > _FEW else 0
    best: dict[str, Reading] = {}
    for item in found:
        codec = codec_of(item["encoding"] or "")
        text = _read(sample, codec) if codec and item["confidence"] >= worth else None
        if text is None:
            continue
        odd = best[text].odd if text in best else odd_share(text)
        score = item["confidence"] * _usual(codec, n_wide) * (1 - odd) ** 3
        if text not in best or best[text].score < score:
            best[text] = Reading(codec, text, odd, score)
    return sorted(best.values(), key=lambda reading: -reading.score)


def _read(sample: bytes, codec: str) -> str | None:
    try:
        return sample.decode(codec)
    except UnicodeDecodeError as error:  # the sample may end inside a character
        return sample[: error.start].decode(codec, "replace") if error.start >= max(1, len(sample) - 4) else None


def _usual(codec: str, n_wide: int) -> float:
    """How likely an encoding is before anything is read: it matters for a handful of bytes."""
    if codec in _OBSCURE:
        return 0.75 if n_wide > _FEW else 0.4
    return 1.0 if codec == "cp1252" else 0.8 ** (1 / n_wide**2)


def _weighed(reading: Reading, n_wide: int) -> float:
    return reading.score * (0.85 ** min(1, 4 / n_wide) if _PERSONAL.match(reading.codec) else 1)


def _n_wide(sample: bytes) -> int:
    return max(1, len(sample) - len(sample.translate(None, _WIDE_BYTES)))


def _likeness(text: str, other: str) -> float:
    if len(text) != len(other):
        return 0.0
    equal = [ours == theirs for ours, theirs in zip(text, other, strict=True) if not ours.isascii()]
    return sum(equal) / max(1, len(equal))


def _shown(text: str) -> str:
    at = next((position for position, character in enumerate(text) if not character.isascii()), 0)
    return ascii(text[max(0, at - 8) : at + 8]) if not text[at : at + 1].isprintable() else repr(text[max(0, at - 8) : at + 8])
