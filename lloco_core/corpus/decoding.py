"""Bytes to text: character encodings, and the one normal form of document text.

The normal form is NFC, `\\n` line ends, no colours of a terminal, no control characters but `\\n` and `\\t`; nothing else is altered,
literal `<s>` and `</s>` included. Normalising twice changes nothing. The format readers call these functions.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable

from lloco_core.corpus.charsets.detecting import detect
from lloco_core.corpus.charsets.escaped import read_escaped, refuse_escapes
from lloco_core.corpus.charsets.labels import codec_of
from lloco_core.corpus.charsets.plausible import is_odd
from lloco_core.corpus.charsets.utf8 import POSSIBLE, read_damaged_utf8, read_utf8
from lloco_core.corpus.charsets.wide import read_wide, refuse_mixed
from lloco_core.corpus.reasons import Reason, Rejected

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85]")
_COLOURS = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)")
"""Sequences that set the colours, the cursor, and the title of a terminal; without its escape the rest of one would pass for text."""
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_MOST_CONTROL = 0.1
"""Share of control characters, colours of a terminal aside, from which data is binary."""
_PLAINLY_UTF8 = 6
"""Characters beyond ASCII of valid UTF-8 that are no accident."""
_WIDE = re.compile("[^\x00-\x7f]+")
_INTACT = 10
"""Characters beyond ASCII per broken byte from which data is of an encoding, if damaged; one broken byte is borne anyway."""


def normalise_text(text: str) -> str:
    """Bring text into the normal form."""
    text = _without_colours(without_surrogates(text))
    return unicodedata.normalize("NFC", _CONTROL.sub("", _LINE_ENDS.sub("\n", text)))


def _without_colours(text: str) -> str:
    return _COLOURS.sub("", text) if "\x1b" in text else text


def without_surrogates(text: str) -> str:
    """Replace lone surrogates, which neither UTF-8 nor Arrow can hold, by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def squeezed(text: str) -> str:
    """Text without white space."""
    return "".join(text.split())


Declared = str | Callable[[bytes], str | None] | None
"""A label, or a function that finds one in the data; it is called only for data that is not UTF-8."""


def decode_text(data: bytes, declared: Declared = None) -> str:
    """Decode text of unknown encoding: byte order mark, UTF-8, the declared encoding, then statistics.

    Raises:
        Rejected: `binary` or `undecodable`.
    """
    text = _decode_marked(data)
    if text is None and b"\x00" in data:
        text = read_wide(data)
        if text is None:
            raise Rejected(Reason.BINARY, f"byte {data.index(0)} is NUL, so this is not text; correct the file's suffix or exclude it")
    elif text is None:
        text = (read_escaped(data) or data.decode("ascii")) if data.isascii() else _decode_eight_bit(data, declared)
    if "\x1b$" in text:
        refuse_escapes(text)
    n_control = len(_CONTROL.findall(_without_colours(text)))
    if n_control > _MOST_CONTROL * len(text):
        raise Rejected(Reason.BINARY, f"{n_control} of {len(text)} characters are control characters; correct the suffix or exclude it")
    return text


def as_marked_utf8(data: bytes, codec: str) -> bytes:
    """Data in a stated encoding as UTF-8 with its mark, which the readers of all formats know.

    A mark comes before what is stated, and so does UTF-8 that cannot be anything else.

    Raises:
        Rejected: `undecodable`, when it is not in that encoding.
    """
    if data.startswith(tuple(mark for mark, _ in _MARKS)) or _is_plainly_utf8(data):
        return data
    text = decode_as(data, codec)
    if text is None:
        raise Rejected(Reason.UNDECODABLE, f"is not in {codec}, which corpus.encoding states for it; correct the pattern or the label")
    return codecs.BOM_UTF8 + text.encode("utf-8", "replace")


def decode_as(data: bytes, codec: str) -> str | None:
    """Decode with U+FFFD for broken bytes; None where there are more than a few."""
    text = data.decode(codec, "replace")
    n_broken = text.count("\ufffd")
    if n_broken > 1 and n_broken * _INTACT > sum(map(len, _WIDE.findall(text))) - n_broken:
        return None
    return text


def _is_plainly_utf8(data: bytes) -> bool:
    text = read_utf8(data)
    return text is not None and sum(map(len, _WIDE.findall(text))) >= _PLAINLY_UTF8


def _decode_marked(data: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            if encoding == "utf-16":
                refuse_mixed(data)
            text = data.decode(encoding, "replace")
            if text.count("\ufffd") * _INTACT > len(text):
                raise Rejected(Reason.UNDECODABLE, f"starts with the mark of {encoding} but is not {encoding}; save it again as UTF-8")
            return text
    return None


def _decode_eight_bit(data: bytes, declared: Declared) -> str:
    text = read_utf8(data) or read_damaged_utf8(data)
    if text is not None:
        return text
    text = _decode_declared(data, declared(data) if callable(declared) else declared)
    if text is not None:
        return text
    try:
        text = decode_as(data, detect(data))
    except Rejected:
        text = read_damaged_utf8(data, POSSIBLE)
        if text is None:
            raise
    if text is None:
        raise Rejected(Reason.UNDECODABLE, f"no character encoding fits all of these {len(data)} bytes; save the file again as UTF-8")
    return text


def _decode_declared(data: bytes, label: str | None) -> str | None:
    codec = codec_of(label) if label else None
    if codec is None:
        return None
    if codec.startswith(("utf-16", "utf-32")):  # data without zero bytes is neither; browsers take UTF-8 for what was meant
        codec = "utf-8"
    text = decode_as(data, codec)
    return None if text is None or is_odd(text) else text
