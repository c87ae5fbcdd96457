"""RTF to text: every code page, Unicode, tables, text boxes, results of fields, and notes (behind the text).

Left out are hidden text, deleted revisions, pictures, headers, footers, and comments. striprtf was tried: it decodes byte by byte in one
code page per file, so text in a font of another one and all East Asian text is garbage, and hidden text and field codes are text to it.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats import rtf_codes
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_TOKEN = re.compile(rb"\\([A-Za-z]{1,32})(-?\d{1,10})? ?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z])|([{}])|[\r\n\x00]+|([^\\{}\r\n\x00]+)|\\")
_MAX_DEPTH = 10_000
_INFO_DEPTH = 3
"""Groups around the title: the document, its information, the title itself."""
_PRIVATE = range(0xF000, 0xF100)
"""Code points of symbol fonts: bullets and arrows that have no meaning without the font."""


@dataclass(frozen=True, slots=True)
class _State:
    """What a group hands down to the groups in it."""

    goes_to: str = "text"
    """`text`, `notes`, `title`, `fonts`, or empty where text is left out."""
    hidden: bool = False
    skips: int = 1
    """Characters for old programs behind every character in Unicode."""
    font: int | None = None


def read_rtf(data: bytes, max_bytes: int) -> ReadText:
    """Read the text of an RTF file."""
    data = data.removeprefix(codecs.BOM_UTF8).lstrip()
    if not data.startswith(b"{\\rtf"):
        raise Rejected(Reason.FILE_DAMAGED, f"begins with {data[:8]!r}, not with {{\\rtf; correct its suffix or fetch it again")
    found = _Reading().read(data)
    text = "\n".join(part for part in (found["text"], found["notes"]) if part.strip())
    lines = (line.rstrip(" \t") for line in normalise_text(text).split("\n"))
    return ReadText("\n".join(lines).strip("\n"), normalise_text(found["title"]).strip() or None)


class _Reading:
    """One pass over the tokens of a file."""

    def __init__(self) -> None:
        self._state, self._above = _State(), []
        self._encoding, self._default_font = "cp1252", None
        self._fonts: dict[int, str | None] = {}
        self._entry: dict[str, int | None] = {}
        self._out: dict[str, list[str]] = {"text": [], "notes": [], "title": [], "fonts": []}
        self._bytes = bytearray()
        self._to_skip = 0
        self._starred = False

    def read(self, data: bytes) -> dict[str, str]:
        """Text by where it goes."""
        position = 0
        while position < len(data):
            token = _TOKEN.match(data, position)
            position = token.end()
            word, number, code, symbol, brace, plain = token.groups()
            if word == b"bin":
                position += max(int(number or 0), 0)
            elif word:
                self._control(word.decode("ascii"), int(number) if number else None)
            elif code:
                self._encoded(bytes([int(code, 16)]))
            elif symbol:
                self._symbol(symbol.decode("latin-1"))
            elif plain:
                self._encoded(plain)
            elif brace and not self._brace(brace == b"{"):
                return {name: "".join(parts) for name, parts in self._out.items()}
        raise Rejected(Reason.FILE_DAMAGED, f"ends within {len(self._above)} open groups: truncated; fetch the file again")

    def _brace(self, opens: bool) -> bool:
        """Enter or leave a group; False when the document ends."""
        self._flush()
        self._to_skip, self._starred = 0, False
        if opens:
            if len(self._above) >= _MAX_DEPTH:
                raise Rejected(Reason.FILE_DAMAGED, f"has groups more than {_MAX_DEPTH} deep; exclude it")
            self._above.append(self._state)
            return True
        if self._state.goes_to == "fonts":
            self._end_font()
        if self._state.goes_to == "notes" and self._above and self._above[-1].goes_to != "notes":
            self._out["notes"].append("\n")
        self._state = self._above.pop()
        return bool(self._above)

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._starred = True
        elif symbol == ";" or symbol in rtf_codes.SYMBOLS:
            self._text(rtf_codes.SYMBOLS.get(symbol, ""))

    def _control(self, word: str, number: int | None) -> None:
        if self._starred and word not in rtf_codes.READ_ALTHOUGH_STARRED and word != "fonttbl":
            self._state = replace(self._state, goes_to="")
        self._starred = False
        if word in rtf_codes.CHARACTERS:
            self._text(rtf_codes.CHARACTERS[word])
        elif word == "u":
            self._unicode((number or 0) % 0x10000)
        elif word in ("uc", "v", "deleted", "plain"):
            self._flush()
            self._set(word, number)
        elif word in ("f", "deff", "fcharset", "cpg", "ansicpg") or word in rtf_codes.ENCODINGS:
            self._flush()
            self._set_font(word, number)
        else:
            self._destination(word)

    def _set(self, word: str, number: int | None) -> None:
        if word == "uc":
            self._state = replace(self._state, skips=max(number if number is not None else 1, 0))
        elif word == "plain":
            self._state = replace(self._state, hidden=False, font=self._default_font)
        else:
            self._state = replace(self._state, hidden=number != 0)

    def _set_font(self, word: str, number: int | None) -> None:
        if word == "f" and self._state.goes_to == "fonts":
            self._end_font()
            self._entry = {"f": number}
        elif word == "f":
            self._state = replace(self._state, font=number)
        elif word == "deff":
            self._default_font = number
            self._state = replace(self._state, font=number)
        elif word in ("fcharset", "cpg"):
            self._entry[word] = number
        else:
            page = rtf_codes.encoding_of_page(number or 0) if word == "ansicpg" else rtf_codes.ENCODINGS[word]
            self._encoding = page or self._encoding

    def _destination(self, word: str) -> None:
        if word in rtf_codes.SKIPPED:
            goes_to = ""
        elif word == "fonttbl":
            goes_to = "fonts"
        elif word == "title" and len(self._above) == _INFO_DEPTH:
            goes_to = "title"
        elif word in rtf_codes.NOTES and self._state.goes_to == "text":
            goes_to = "notes"
        elif word == "ud":
            goes_to = "text"
        else:
            return
        self._flush()
        self._state = replace(self._state, goes_to=goes_to)

    def _end_font(self) -> None:
        name = "".join(self._out["fonts"])
        if self._entry.get("f") is not None:
            self._fonts[self._entry["f"]] = rtf_codes.encoding_of_font(self._entry.get("fcharset"), self._entry.get("cpg"), name)
        self._entry = {}
        self._out["fonts"].clear()

    def _encoded(self, data: bytes) -> None:
        """Text in the code page of its font; a character may take two bytes, so it waits for the next ones."""
        skipped = min(self._to_skip, len(data))
        self._to_skip -= skipped
        self._bytes += data[skipped:]

    def _flush(self) -> None:
        if self._bytes:
            encoding = self._fonts.get(self._state.font) if self._state.goes_to != "fonts" else None
            text = self._bytes.decode(encoding or self._encoding, "replace")
            self._bytes.clear()
            self._emit(text)

    def _text(self, text: str) -> None:
        self._flush()
        if self._to_skip:
            self._to_skip -= 1
        else:
            self._emit(text)

    def _unicode(self, code: int) -> None:
        self._flush()
        if self._to_skip:
            self._to_skip -= 1
            return
        self._to_skip = self._state.skips
        if code not in _PRIVATE:
            self._emit(chr(code))

    def _emit(self, text: str) -> None:
        if self._state.goes_to and not self._state.hidden:
            self._out[self._state.goes_to].append(text)
