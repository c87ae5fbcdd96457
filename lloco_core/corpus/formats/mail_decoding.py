"""Headers and bodies of mails to text, whatever their senders declared: wrong, missing, or unknown encodings, raw bytes in headers."""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value

from lloco_core.corpus.charsets.declared import declared_label
from lloco_core.corpus.decoding import decode_text
from lloco_core.corpus.reasons import Rejected

_BETWEEN_WORDS = re.compile(r"(=\?[^?\s]*\?[bBqQ]\?[^?]*\?=)\s+(?==\?)")
_TRUSTED = ("iso-2022-", "hz", "utf-7", "utf-16", "utf-32")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


def header_text(message: Message, name: str, parameter: str | None = None) -> str:
    """A header, or one parameter of it, on one line; empty without it."""
    if parameter is not None:
        found = message.get_param(parameter, None, name)
        value = collapse_rfc2231_value(found) if found else ""
    else:
        value = next((value for found, value in message.raw_items() if found.lower() == name.lower()), "")
    return " ".join(_decoded_words(_raw(value)).split())


def part_text(part: Message) -> str:
    """Text of a part in the encoding that its header, or a page itself, declares if that fits, else as text of unknown encoding.

    Raises:
        Rejected: it is no text.
    """
    data = part_bytes(part)
    if not data.strip():
        return ""
    declared = part.get_content_charset()
    if declared is None and part.get_content_type() == "text/html":
        return decode_text(data.replace(b"\0", b""), declared_label)
    return _decode(data, str(declared or ""))


def _decode(data: bytes, declared: str) -> str:
    if declared.lower().startswith(_TRUSTED):  # their bytes also pass for ASCII, or hold NULs
        with suppress(LookupError, UnicodeError):
            return data.decode(declared)
    return decode_text(data.replace(b"\0", b""), declared or None)


def part_bytes(part: Message) -> bytes:
    """The body's bytes. Base64 with rubbish in it or without its end is decoded as far as it goes."""
    if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64":
        payload = part.get_payload()
        encoded = _NOT_BASE64.sub(b"", payload.encode("utf-8", "surrogateescape")) if isinstance(payload, str) else b""
        try:
            return base64.b64decode(encoded[: len(encoded) // 4 * 4] + _rest(encoded))
        except binascii.Error:
            return b""
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


def _rest(encoded: bytes) -> bytes:
    rest = encoded[len(encoded) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _raw(text: str) -> str:
    """A header as it was sent; bytes that are not ASCII are text of unknown encoding."""
    try:
        return decode_text(text.encode("ascii", "surrogateescape"))
    except (UnicodeError, Rejected):
        return text.encode("utf-8", "replace").decode("utf-8")


def _decoded_words(text: str) -> str:
    """Text with its encoded words decoded; words in an unknown encoding stay as they are."""
    try:
        parts = decode_header(_BETWEEN_WORDS.sub(r"\1 ", text))
    except (HeaderParseError, binascii.Error, ValueError):
        return text
    return "".join(part if isinstance(part, str) else _word(part, encoding) for part, encoding in parts)


def _word(data: bytes, encoding: str | None) -> str:
    if encoding is None:
        return data.decode("raw-unicode-escape", "replace")
    try:
        return _decode(data, encoding)
    except Rejected:
        return data.decode("utf-8", "replace")
