"""How much text in every encoding is read exactly, rejected, or read wrongly: the matrix of encodings, languages, and lengths.

`python -m benchmarks.encodings` writes `benchmarks/results/encodings.json` and the table of docs/encodings.md; `--docs` only the latter.
"""

from __future__ import annotations

import argparse
import difflib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.encoding_texts import TEXTS
from benchmarks.machine import ROOT, between, versions
from lloco_core.corpus.decoding import decode_text
from lloco_core.corpus.reasons import Rejected

RESULT, DOCS = ROOT / "benchmarks" / "results" / "encodings.json", ROOT / "docs" / "encodings.md"
START, END = "<!-- encodings:start -->", "<!-- encodings:end -->"
LENGTHS = {60: 3, 400: 2, 4000: 1}
"""Characters of a text, and how many texts that begin at different sentences."""
ENCODINGS = [
    "utf-8",
    "cp1250",
    "cp1251",
    "cp1252",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "iso8859-1",
    "iso8859-2",
    "iso8859-5",
    "iso8859-7",
    "iso8859-9",
    "iso8859-15",
    "koi8-r",
    "koi8-u",
    "cp866",
    "cp850",
    "cp852",
    "cp437",
    "mac-roman",
    "mac-cyrillic",
    "cp874",
    "cp932",
    "euc_jp",
    "iso2022_jp",
    "gb18030",
    "big5",
    "cp949",
    "hz",
    "utf-7",
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "cp037",
]
OUTCOMES = ("exact", "mostly", "rejected", "garbage")


@dataclass(frozen=True, slots=True)
class Case:
    """One text as bytes."""

    encoding: str
    language: str
    length: int
    text: str

    @property
    def data(self) -> bytes:
        """The text in its encoding."""
        return self.text.encode(self.encoding)


def cases() -> Iterator[Case]:
    """Every text that its encoding can hold and that has a character beyond ASCII."""
    for encoding in ENCODINGS:
        for language, text in TEXTS.items():
            for length, number in LENGTHS.items():
                for start in range(number):
                    piece = piece_of(text, start, length)
                    if not piece.isascii() and _holds(encoding, piece):
                        yield Case(encoding, language, length, piece)


def _holds(encoding: str, text: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeError:
        return False


def piece_of(text: str, start: int, length: int) -> str:
    """`length` characters of a text, repeated where it is shorter, from its sentence number `start` on; whole words where it has any."""
    sentences = text.replace("。", "。|").replace(". ", ". |").split("|")
    start %= len(sentences)
    turned = "".join([*sentences[start:], " ", *sentences[:start], " "])
    piece = (turned * (1 + length // len(turned)))[:length]
    return piece.rpartition(" ")[0] if " " in piece[length // 2 :] else piece


def outcome(case: Case) -> str:
    """`garbage` where less than half of the characters beyond ASCII are right, `mostly` where more but not all are."""
    try:
        read = decode_text(case.data)
    except Rejected:
        return "rejected"
    read, text = (unicodedata.normalize("NFC", either) for either in (read, case.text))
    if read == text:
        return "exact"
    return "mostly" if share_right(text, read) >= 0.5 else "garbage"


def share_right(text: str, read: str) -> float:
    """Share of the characters beyond ASCII that are read right: in their places, or counted where the lengths differ."""
    wide = [place for place, character in enumerate(text) if not character.isascii()]
    if len(text) == len(read):
        return sum(text[place] == read[place] for place in wide) / len(wide)
    found, other = (Counter(character for character in either if not character.isascii()) for either in (text, read))
    return (found & other).total() / max(found.total(), other.total())


def share_of_all_right(text: str, read: str) -> float:
    """Share of all characters that are read right, in their order."""
    same = difflib.SequenceMatcher(None, text, read, autojunk=False).get_matching_blocks()
    return sum(block.size for block in same) / max(len(text), len(read))


def measure() -> dict[str, Any]:
    """Counts of outcomes by encoding and length, every text of which most characters beyond ASCII, and every one of which most of all
    characters were read wrong."""
    counts: dict[str, dict[str, Counter[str]]] = {encoding: {str(length): Counter() for length in LENGTHS} for encoding in ENCODINGS}
    garbage, worst = [], []
    for case in cases():
        found = outcome(case)
        counts[case.encoding][str(case.length)][found] += 1
        if found == "garbage":
            name = f"{case.encoding}, {case.language}, {case.length}"
            garbage.append(name)
            if share_of_all_right(case.text, decode_text(case.data)) < 0.5:
                worst.append(name)
    return {"counts": counts, "garbage": garbage, "most_of_all_characters_wrong": worst}


def main() -> None:
    """Measure and write the result file and the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", action="store_true", help="only bring docs/encodings.md up to date")
    if not parser.parse_args().docs:
        result = {"command": "python -m benchmarks.encodings", "versions": versions(("chardet", "webencodings"))} | measure()
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    DOCS.write_text(between(DOCS.read_text(), START, END, docs_block()))


def docs_block() -> str:
    """The table of the result file."""
    result = json.loads(RESULT.read_text())
    lines = [
        "| encoding | texts | " + " | ".join(f"{length} characters" for length in LENGTHS) + " |",
        "|---|---:|" + "---|" * len(LENGTHS),
    ]
    totals = {str(length): Counter() for length in LENGTHS}
    for encoding, by_length in result["counts"].items():
        for length, found in by_length.items():
            totals[length].update(found)
        lines.append(_row(f"`{encoding}`", by_length))
    lines.append(_row("all", totals))
    wrong, worst = ("; ".join(result[key]) or "none" for key in ("garbage", "most_of_all_characters_wrong"))
    found = f"Less than half of the characters beyond ASCII right: {wrong}. Less than half of all characters right: {worst}."
    return "\n".join([*lines, "", f"{found} chardet {result['versions']['chardet']}."])


def _row(name: str, by_length: dict[str, dict[str, int]]) -> str:
    return f"| {name} | {sum(sum(found.values()) for found in by_length.values())} | " + " | ".join(map(_cell, by_length.values())) + " |"


def _cell(found: dict[str, int]) -> str:
    total = sum(found.values())
    shown = [f"{100 * found['exact'] / total:.0f} % exact"] if found.get("exact") else []
    return ", ".join(shown + [f"{found[name]} {name}" for name in OUTCOMES[1:] if found.get(name)]) or "-"


if __name__ == "__main__":
    main()
