"""Web pages that a browser saved as one file: a mail whose first HTML part is the page."""

from __future__ import annotations

import codecs
import re

_MAIL = re.compile(rb"\s*(?:[A-Za-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*){0,30}?MIME-Version:", re.IGNORECASE)
_LOOKED_AT = 4096


def page_in_mail(data: bytes) -> bytes | None:
    """The HTML of the page, None where the bytes are no mail or hold no page."""
    if not _MAIL.match(data[:_LOOKED_AT]):
        return None
    from email import message_from_bytes, policy

    for part in message_from_bytes(data.lstrip(), policy=policy.default).walk():
        if part.get_content_type() in ("text/html", "application/xhtml+xml"):
            page = part.get_payload(decode=True) or b""
            try:
                return codecs.BOM_UTF8 + page.decode(part.get_content_charset("")).encode() if part.get_content_charset() else page
            except (LookupError, UnicodeError):
                return page
    return None
