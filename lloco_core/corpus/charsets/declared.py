"""The encoding that a page declares in a meta element or an XML declaration, as browsers look for it.

Comments and scripts declare nothing, and neither does what stands behind the first 16 KB: browsers look at 1 KB before they parse,
and begin again when they meet a declaration later in the head.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from lloco_core.corpus.charsets.labels import codec_of

_SEARCHED = 16_384
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';]+)""", re.IGNORECASE)
_ENCODING = re.compile(r"""^xml\s[^>]*?\bencoding\s*=\s*["']([^"']+)""", re.IGNORECASE)


def declared_label(page: bytes) -> str | None:
    """The first label in a page without a byte order mark that names an encoding; None where there is none."""
    head = page[:_SEARCHED]
    if b"charset" not in head.lower() and b"encoding" not in head:
        return None
    reader = _Declarations()
    reader.feed(head.decode("latin-1"))
    return next((label for label in reader.labels if codec_of(label)), None)


class _Declarations(HTMLParser):
    """Collects labels in the order of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A meta element declares by `charset`, or by `content` where it stands for a header."""
        if tag != "meta":
            return
        values = {name: value or "" for name, value in reversed(attrs)}  # of equal attributes the first holds
        if "charset" in values:
            self.labels.append(values["charset"])
        elif values.get("http-equiv", "").strip().lower() == "content-type":
            self.labels += _CHARSET.findall(values.get("content", ""))[:1]

    def handle_pi(self, data: str) -> None:
        """The XML declaration."""
        self.labels += _ENCODING.findall(data)[:1]
