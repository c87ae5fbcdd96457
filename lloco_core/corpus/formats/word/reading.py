"""A Word file to its text: the body, its notes, its text boxes, then what only headers and footers say."""

from __future__ import annotations

import zlib
from typing import Any
from zipfile import BadZipFile

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.html import read_html
from lloco_core.corpus.formats.mail import read_mhtml
from lloco_core.corpus.formats.package import OLE
from lloco_core.corpus.formats.read_text import ReadText, read_plain
from lloco_core.corpus.formats.rtf import read_rtf
from lloco_core.corpus.formats.word.headers import said_nowhere_else, shown_headers
from lloco_core.corpus.formats.word.names import child, each
from lloco_core.corpus.formats.word.notes import Notes
from lloco_core.corpus.formats.word.numbering import Numbering
from lloco_core.corpus.formats.word.package import Package
from lloco_core.corpus.formats.word.story import CHANGING, Story
from lloco_core.corpus.formats.word.styles import Styles
from lloco_core.corpus.reasons import Reason, Rejected

_IMPORTED = {
    "htm": read_html,
    "html": read_html,
    "xhtml": read_html,
    "mht": read_mhtml,
    "mhtml": read_mhtml,
    "rtf": read_rtf,
    "txt": read_plain,
}
"""Suffix -> reader of what a Word file may hold beside Word and HTML."""
MAX_IMPORTS = 3
"""Documents within documents that are read."""


def read_docx(data: bytes, max_bytes: int) -> ReadText:
    """Read a Word file whose parts unpack to at most `max_bytes`.

    Raises:
        Rejected: `docx_damaged` or `too_large_unpacked`.
    """
    from lxml.etree import XMLSyntaxError

    if data.startswith(OLE):
        raise Rejected(Reason.DOCX_DAMAGED, "is password-protected or an old .doc; save it as .docx without a password")
    try:
        document = WordDocument(data, max_bytes)
        return ReadText(normalise_text("\n".join(document.lines())), document.title())
    except (BadZipFile, XMLSyntaxError, KeyError, ValueError, EOFError, NotImplementedError, zlib.error) as error:
        message = str(error).partition("\n")[0]
        raise Rejected(Reason.DOCX_DAMAGED, f"not readable as .docx ({type(error).__name__}: {message}); open and save it again") from error


class WordDocument:
    """A Word file and what counts through it: lists and notes."""

    def __init__(self, data: bytes, max_bytes: int, depth: int = 0) -> None:
        self._max_bytes, self._depth = max_bytes, depth
        self.package = Package(data, max_bytes)
        self._settings = self._related("settings")[1]
        self.styles = Styles(self._related("styles")[1])
        self.numbering = Numbering(self._related("numbering")[1], self.styles)
        self.notes = Notes(self._related, lambda part, note: Story(self, part, None).lines(note), self._settings)

    def lines(self) -> list[str]:
        """The text, a paragraph or a row of a table per line."""
        root = self.package.xml(self.package.main)
        body = child(root, "w:body")
        lines = [] if body is None else Story(self, self.package.main, []).lines(body)
        lines += self.notes.endnotes
        headers = [line for part in shown_headers(self.package, root, self._settings) for line in self._header(part)]
        return lines + said_nowhere_else(headers, lines, CHANGING)

    def title(self) -> str | None:
        """The title among the document's properties; damaged properties have none."""
        from lxml.etree import XMLSyntaxError

        try:
            properties = self.package.xml(self.package.related("", "core-properties"))
        except XMLSyntaxError:
            return None
        return None if properties is None else next((item.text for item in each(properties, "dc:title")), None)

    def imported(self, part: str, element: Any) -> list[str]:
        """The lines of a document that Word imports when it opens this one (`w:altChunk`).

        Raises:
            Rejected: `docx_damaged`, when it is of a kind that is not read; or that of its reader.
        """
        target = self.package.part_of(part, element, "r:id")
        if target is None:
            return []
        data, suffix = self.package.read(target), target.rpartition(".")[2]
        if data.startswith(b"PK") and self._depth < MAX_IMPORTS:
            return WordDocument(data, self._max_bytes, self._depth + 1).lines()
        if suffix in _IMPORTED:
            return _imported_lines(data, suffix, self._max_bytes)
        message = f"part {target} is a document of another format within this one; open it in Word and save it again, which takes it in"
        raise Rejected(Reason.DOCX_DAMAGED, message)

    def _header(self, part: str) -> list[str]:
        return Story(self, part, None, marks_changing=True).lines(self.package.xml(part))

    def _related(self, kind: str) -> tuple[str, Any]:
        part = self.package.related(self.package.main, kind)
        return part or "", self.package.xml(part)


def _imported_lines(data: bytes, suffix: str, max_bytes: int) -> list[str]:
    try:
        return _IMPORTED[suffix](data, max_bytes).text.splitlines()
    except Rejected as rejected:
        if rejected.reason is Reason.HTML_NO_TEXT:
            return []
        raise
