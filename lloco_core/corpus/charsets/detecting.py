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
_WORTH = 0.2
"""Share of the best confidence from which an encoding is read at all."""
_RIVALS = 8
"""Readings that the best one is compared with."""
_MOST_ODD = 0.3
"""Share of odd characters from which no reading is text."""
_ALIKE = 0.5
"""Share of equal characters from which another reading is no rival: a few letters differ."""
_UNUSUAL = {"cp437": 0.9, "cp850": 0.9, "cp852": 0.9, "cp866": 0.9, "mac-roman": 0.9, "mac-cyrillic": 0.9}
"""How likely an encoding is before anything is read, where it is not one of the web's."""
_WEB = re.compile("cp125[0-8]|iso8859-([2-9]|1[135])|koi8-[ru]|cp874|cp932|cp949|gb18030|big5|euc_|shift_jis|utf")
_RARE = 0.8


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
    readings = _readings(sample_of(data))
    if not readings or readings[0].odd > _MOST_ODD:
        raise Rejected(Reason.UNDECODABLE, f"no character encoding fits these {len(data)} bytes; save the file again as UTF-8")
    best, n_wide = readings[0], sum(byte > 127 for byte in sample_of(data))
    enough = 1 - min(0.2, 0.3 / max(1, n_wide))
    for rival in readings[1 : 1 + _RIVALS]:
        if _weighed(rival, n_wide) > enough * _weighed(best, n_wide) and _likeness(best.text, rival.text) < _ALIKE:
            raise Rejected(
                Reason.UNDECODABLE,
                f"may be {best.codec} ({_shown(best.text)}) or {rival.codec} ({_shown(rival.text)}); "
                "say which in corpus.encoding, or save the file again as UTF-8",
            )
    return best.codec


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
    n_wide = sum(byte > 127 for byte in sample)
    best: dict[str, Reading] = {}
    for item in found:
        codec = codec_of(item["encoding"] or "")
        text = _read(sample, codec) if codec and item["confidence"] >= _WORTH * found[0]["confidence"] else None
        if text is None:
            continue
        odd = best[text].odd if text in best else odd_share(text)
        usual = (0.9 + _usual(codec) / 10) ** min(2, 4 / max(1, n_wide))
        score = item["confidence"] * usual * (1 - odd) ** 3
        if text not in best or best[text].score < score:
            best[text] = Reading(codec, text, odd, score)
    return sorted(best.values(), key=lambda reading: -reading.score)


def _read(sample: bytes, codec: str) -> str | None:
    try:
        return sample.decode(codec)
    except UnicodeDecodeError as error:  # the sample may end inside a character
        return sample[: error.start].decode(codec, "replace") if error.start >= max(1, len(sample) - 4) else None


def _usual(codec: str) -> float:
    return 1.0 if _WEB.match(codec) else _UNUSUAL.get(codec, _RARE)


def _weighed(reading: Reading, n_wide: int) -> float:
    """The score, corrected by how usual the encoding is as long as there is little to judge by."""
    return reading.score * _usual(reading.codec) ** min(1, 4 / max(1, n_wide))


def _likeness(text: str, other: str) -> float:
    if len(text) != len(other):
        return 0.0
    equal = [ours == theirs for ours, theirs in zip(text, other, strict=True) if not ours.isascii()]
    return sum(equal) / max(1, len(equal))


def _shown(text: str) -> str:
    at = next((position for position, character in enumerate(text) if not character.isascii()), 0)
    return ascii(text[max(0, at - 8) : at + 8]) if not text[at : at + 1].isprintable() else repr(text[max(0, at - 8) : at + 8])
