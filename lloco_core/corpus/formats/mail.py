"""Mails (.eml) and web archives (.mht, .mhtml): headers and text of a message, or the page that an archive holds.

Of a mail Subject, From, To, Cc, and Date are lines; the subject is the title, too. Of alternatives the plain text is read, else the
HTML. Messages inside a message are read in their place. Attachments are named; those that are text are read as well.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import Message

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.html import read_html
from lloco_core.corpus.formats.mail_decoding import header_text, part_bytes, part_text
from lloco_core.corpus.formats.markup import markup_text
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_MAX_DEPTH = 50
"""Messages and parts within each other."""
_HEADER = re.compile(rb"\A(?:From [^\n]*\n|[ \t]*\r?\n)*[!-9;-~]+[ \t]*:")
_FAR_LONGER = 5
"""Times the words of the plain text that the HTML must have for the plain text to be a notice ("your program shows no HTML")."""
_CODED = {"text/calendar", "text/rtf", "text/css", "text/javascript", "text/vcard", "text/x-vcard", "text/x-amp-html"}
"""Kinds of text that are not written to be read."""
_LOCKED = {"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"}
_TNEF = {"application/ms-tnef", "application/vnd.ms-tnef"}
_ARCHIVED = ("multipart/related", "text/html")


def read_mail(data: bytes, max_bytes: int) -> ReadText:
    """Read a message with everything in it."""
    message = _message(data)
    if message.get_content_type() in _LOCKED:
        raise Rejected(Reason.FILE_ENCRYPTED, f"its body is {message.get_content_type()}; save it decrypted")
    _refuse_outlooks_own(message)
    text = normalise_text("\n".join(_message_lines(message, 0)))
    return ReadText(text, header_text(message, "Subject") or None)


def read_mhtml(data: bytes, max_bytes: int) -> ReadText:
    """Read the page of a web archive as `read_html` does; a mail that is saved as an archive is read as a mail."""
    message = _message(data)
    if message.get_content_type() not in _ARCHIVED or header_text(message, "To"):
        return read_mail(data, max_bytes)
    page = _root_page(message)
    if page is None:
        raise Rejected(Reason.FILE_DAMAGED, "holds no page of HTML; open it in a browser and save it again")
    read = read_html(codecs.BOM_UTF8 + part_text(page).encode("utf-8", "replace"), max_bytes)
    return ReadText(read.text, header_text(message, "Subject") or read.title)


def _message(data: bytes) -> Message:
    data = data.removeprefix(codecs.BOM_UTF8)
    if not _HEADER.match(data):
        raise Rejected(Reason.FILE_DAMAGED, "does not begin with the header of a mail; correct its suffix or exclude it")
    return message_from_bytes(data.lstrip(b" \t\r\n"), policy=policy.compat32)


def _refuse_outlooks_own(message: Message) -> None:
    """Refuse a mail that has its text in `winmail.dat` alone."""
    leaves = [part for part in message.walk() if not part.is_multipart()]
    texts = [part for part in leaves if part.get_content_maintype() == "text" and part_text(part).strip()]
    if not texts and any(part.get_content_type() in _TNEF for part in leaves):
        raise Rejected(Reason.UNKNOWN_FORMAT, "its text is in winmail.dat, which only Outlook reads; save it there as .mht, or exclude it")


def _root_page(message: Message) -> Message | None:
    start = str(message.get_param("start", "") or "").strip("<>")
    pages = [part for part in message.walk() if part.get_content_type() in ("text/html", "application/xhtml+xml")]
    return next((page for page in pages if start and start in str(page.get("Content-ID", ""))), pages[0] if pages else None)


def _message_lines(message: Message, depth: int) -> Iterator[str]:
    for name in _SHOWN:
        if found := header_text(message, name):
            yield f"{name}: {found}"
    yield ""
    yield from _part_lines(message, depth)


def _part_lines(part: Message, depth: int) -> Iterator[str]:
    kind = part.get_content_type()
    if depth > _MAX_DEPTH:
        raise Rejected(Reason.FILE_DAMAGED, f"holds parts within parts, more than {_MAX_DEPTH} deep; exclude it")
    if kind == "message/rfc822" and part.is_multipart():
        for inner in part.get_payload():
            yield from _message_lines(_unpacked(part, inner), depth + 1)
    elif part.is_multipart():
        inner = part.get_payload()
        for chosen in _best(inner) if kind == "multipart/alternative" else inner:
            yield from _part_lines(chosen, depth + 1)
    elif kind.startswith("multipart/") and str(part.get_payload()).strip():
        raise Rejected(Reason.FILE_DAMAGED, "its header names a boundary between parts that is not there; save or fetch the mail again")
    else:
        yield from _leaf_lines(part, kind)


def _unpacked(part: Message, inner: Message) -> Message:
    """A message within another, also where it was encoded as a whole, which the standard forbids and mailers do."""
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding not in ("base64", "quoted-printable") or "Content-Transfer-Encoding" in inner or inner.is_multipart():
        return inner
    inner["Content-Transfer-Encoding"] = encoding
    if inner.get_all("Subject") or inner.get_all("From"):  # quoted-printable leaves headers as they are
        return inner
    data = part_bytes(inner).lstrip()
    return message_from_bytes(data, policy=policy.compat32) if _HEADER.match(data) else inner


def _best(alternatives: list[Message]) -> list[Message]:
    """The plain text of alternatives, else the last that can be read. Text that only points to the HTML is passed over."""
    plain = [part for part in alternatives if part.get_content_type() == "text/plain" and part_text(part).strip()]
    readable = [part for part in alternatives if part.is_multipart() or part.get_content_maintype() == "text"]
    if plain and any(part is not plain[0] and len(_visible(part)) > _FAR_LONGER * len(part_text(plain[0]).split()) for part in readable):
        return readable[-1:]
    return plain[:1] or readable[-1:] or alternatives[-1:]


def _visible(part: Message) -> list[str]:
    return markup_text(part_text(part)).split() if part.get_content_type() == "text/html" else []


def _leaf_lines(part: Message, kind: str) -> Iterator[str]:
    name = " ".join((_file_name(part) or "").split())
    attached = part.get_content_disposition() == "attachment" or (name and not kind.startswith("text/"))
    if attached:
        yield f"Attachment: {name or kind}"
    if kind == "text/html":
        yield markup_text(part_text(part))
    elif kind.startswith("text/") and kind not in _CODED:
        try:
            yield part_text(part)
        except Rejected:
            if not attached:
                raise


def _file_name(part: Message) -> str | None:
    try:
        return header_text(part, "Content-Disposition", "filename") or header_text(part, "Content-Type", "name")
    except (ValueError, LookupError, TypeError, IndexError):
        return None
