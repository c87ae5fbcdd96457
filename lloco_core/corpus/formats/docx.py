"""Word documents to text: paragraphs and tables in reading order, one table row per line, cells separated by tabs.

Headers, footers, footnotes, and text boxes are left out; tracked insertions and content controls are text like any other.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_OLE = b"\xd0\xcf\x11\xe0"


def read_docx(data: bytes, max_bytes: int) -> ReadText:
    """Read a .docx whose parts unpack to at most `max_bytes`."""
    from docx import Document
    from docx.opc.exceptions import OpcError
    from lxml.etree import XMLSyntaxError

    if data.startswith(_OLE):
        raise Rejected(Reason.DOCX_DAMAGED, "is password-protected or an old .doc; save it as .docx without a password")
    try:
        _refuse_large(data, max_bytes)
        document = Document(BytesIO(data))
        _unwrap(document.element.body)
        text = "\n".join(_lines(document))
        title = document.core_properties.title
    except (BadZipFile, OpcError, XMLSyntaxError, KeyError, ValueError, EOFError, NotImplementedError, zlib.error) as error:
        message = str(error).partition("\n")[0]
        raise Rejected(Reason.DOCX_DAMAGED, f"not readable as .docx ({type(error).__name__}: {message}); open and save it again") from error
    return ReadText(normalise_text(text), title)


def _refuse_large(data: bytes, max_bytes: int) -> None:
    with ZipFile(BytesIO(data)) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())  # zipfile never reads past the declared size
    if unpacked > max_bytes:
        message = f"its parts unpack to {unpacked} bytes, more than {max_bytes}; split it or raise corpus.max_bytes"
        raise Rejected(Reason.TOO_LARGE_UNPACKED, message)


def _unwrap(body: Any) -> None:
    """Put the content of content controls and tracked insertions where python-docx looks for it."""
    for wrapper in body.xpath(".//w:sdtContent | .//w:ins[parent::w:p]"):
        place = wrapper.getparent() if wrapper.tag.endswith("}sdtContent") else wrapper
        for child in list(wrapper):
            place.addprevious(child)
        place.getparent().remove(place)


def _lines(container: Any) -> Iterator[str]:
    """Lines of a document or table cell."""
    from docx.text.paragraph import Paragraph

    for block in container.iter_inner_content():
        if isinstance(block, Paragraph):
            yield block.text
            continue
        for row in block.rows:
            cells = {cell._tc: cell for cell in row.cells}  # a merged cell is listed once per column it spans
            yield "\t".join(" ".join(line for line in _lines(cell) if line) for cell in cells.values())
