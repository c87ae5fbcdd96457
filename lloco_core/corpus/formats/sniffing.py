"""What a file is by its first bytes, where its suffix says something else: an RTF file named `.doc`, a web archive named `.html`.

Text is never guessed from: only marks that text of the named format cannot begin with count.
"""

from __future__ import annotations

import re
from io import BytesIO
from zipfile import BadZipFile, ZipFile

from lloco_core.corpus.formats.package import OLE, ZIP

_BEGINNINGS = ((b"{\\rtf", ".rtf"), (b"PAR1", ".parquet"))
_PDF_WITHIN = 1024
_PARTS = (("word/document", ".docx"), ("xl/workbook", ".xlsx"), ("ppt/presentation", ".pptx"), ("meta-inf/container.xml", ".epub"))
_ODS = b"application/vnd.oasis.opendocument.spreadsheet"
_WORKBOOKS = ("Workbook".encode("utf-16-le"), "Book".encode("utf-16-le") + bytes(2))
"""Names of the stream that an old Excel file has; the directory of an OLE file names it."""
_OLE_DOCUMENTS = {
    "WordDocument": "an old Word file",
    "PowerPoint Document": "an old PowerPoint file",
    "__substg1.0_": "an Outlook message",
}
_MIME = re.compile(rb"\A\s*(?:From:|MIME-Version:|Content-Type:|Subject:|Date:|Snapshot-Content-Location:)[^\n]*\n", re.IGNORECASE)
_MIME_WITHIN = 4096
_HTML = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body|table|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
_XML = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xml\b", re.IGNORECASE)
"""A table in the XML of Office 2003 is no table of text."""
_PACKED = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "bz2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}
"""Codec -> what its data begins with."""
_OTHERS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ID3", "an MP3 file"),
    (ZIP, "a ZIP archive"),
    (OLE, "an old Office file"),
)

_OFFICE_SUFFIXES = {".doc", ".dot", ".xls", ".ppt"}
"""Suffixes of old Office files, under which programs also write RTF, HTML, web archives, and tables of text."""


def true_suffix(suffix: str, data: bytes) -> str:
    """The suffix of the format that the bytes are in: the one given, unless a mark says otherwise."""
    marked = _marked(data)
    if marked is not None:
        return suffix if _same_family(suffix, marked) else marked
    if suffix in _OFFICE_SUFFIXES or suffix in (".html", ".htm", ".xhtml"):
        head = data[:_MIME_WITHIN]
        if _MIME.match(head) and b"mime-version:" in head.lower():
            return ".mht"
    if suffix in _OFFICE_SUFFIXES and _HTML.match(data[:_MIME_WITHIN]):
        return ".html"
    if suffix == ".xls" and b"\0" not in data[:_MIME_WITHIN] and not _XML.match(data):
        return ".csv"
    return suffix


def packed_with(data: bytes) -> str | None:
    """The codec that data is packed with although its name does not say so, as objects with `Content-Encoding` on S3 are."""
    return next((codec for codec, mark in _PACKED.items() if mark.match(data)), None)


def looks_like(data: bytes) -> str:
    """What else a file seems to be, for messages; empty where nothing is known."""
    if data.startswith(OLE):
        return next((what for name, what in _OLE_DOCUMENTS.items() if name.encode("utf-16-le") in data), "an old Office file")
    return next((what for mark, what in _OTHERS if data.startswith(mark)), "")


def _marked(data: bytes) -> str | None:
    start = data[:_PDF_WITHIN].removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, suffix in _BEGINNINGS:
        if start.startswith(mark):
            return suffix
    if start.startswith(b"%PDF-"):
        return ".pdf"
    if data.startswith(ZIP):
        return _zipped(data)
    if data.startswith(OLE) and any(name in data for name in _WORKBOOKS):
        return None if any(name.encode("utf-16-le") in data for name in _OLE_DOCUMENTS) else ".xls"  # a table within another document
    return None


def _zipped(data: bytes) -> str | None:
    try:
        with ZipFile(BytesIO(data)) as archive:
            names = [name.lower().replace("\\", "/") for name in archive.namelist()]
            kind = archive.read("mimetype")[:100].strip() if "mimetype" in names and archive.getinfo("mimetype").file_size < 100 else b""
    except (BadZipFile, ValueError, EOFError, OSError, RuntimeError, NotImplementedError, KeyError):
        return None
    if kind == _ODS:
        return ".ods"
    return next((suffix for part, suffix in _PARTS if any(name.startswith(part) for name in names)), None)


def _same_family(suffix: str, marked: str) -> bool:
    families = ({".docx", ".docm", ".dotx", ".dotm"}, {".xlsx", ".xlsm", ".xltx", ".xlsb", ".xls"}, {".pptx", ".pptm", ".ppsx", ".potx"})
    return suffix == marked or any(suffix in family and marked in family for family in families)
