"""E-books (EPUB 2 and 3): chapters in the order of the spine, without the table of contents.

A book whose chapters are encrypted is rejected; encrypted fonts do not matter. Read with lxml: EbookLib reads all parts, pictures
too, into memory, and drops what its manifest does not name as a document.
"""

from __future__ import annotations

import posixpath
from typing import Any
from urllib.parse import unquote

from lloco_core.corpus.charsets.declared import declared_label
from lloco_core.corpus.decoding import decode_text, normalise_text
from lloco_core.corpus.formats.markup import markup_text
from lloco_core.corpus.formats.package import Package
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_BETWEEN_CHAPTERS = "\n\n"
_CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "application/xml", "text/x-oeb1-document")


def read_epub(data: bytes, max_bytes: int) -> ReadText:
    """Read the text of all chapters."""
    package = Package(data, max_bytes)
    content = _content_name(package)
    opf = package.tree(content)
    chapters = _chapters(opf, posixpath.dirname(content))
    if not chapters:
        raise Rejected(Reason.FILE_DAMAGED, "its spine names no chapter; open it in an e-book editor and save it again")
    if locked := _encrypted(package) & {name.lower() for name in chapters}:
        message = f"{len(locked)} of {len(chapters)} chapters are encrypted (digital rights management)"
        raise Rejected(Reason.FILE_ENCRYPTED, f"{message}; get a copy without it, or exclude it")
    text = _BETWEEN_CHAPTERS.join(markup_text(decode_text(package.read(name), declared_label)) for name in chapters)
    title = opf.find(".//{http://purl.org/dc/elements/1.1/}title")
    return ReadText(normalise_text(text), title.text if title is not None else None)


def _content_name(package: Package) -> str:
    if "META-INF/container.xml" not in package:
        raise Rejected(Reason.FILE_DAMAGED, "has no META-INF/container.xml, so it is no EPUB; correct its suffix or fetch it again")
    for found in package.tree("META-INF/container.xml").iter("{*}rootfile"):
        return unquote(found.get("full-path", ""))
    raise Rejected(Reason.FILE_DAMAGED, "its container names no content; open it in an e-book editor and save it again")


def _chapters(opf: Any, folder: str) -> list[str]:
    """Names of the documents of the spine, each once."""
    items = {item.get("id"): item for item in opf.iter("{*}item")}
    spine = [items[found.get("idref")] for found in opf.iter("{*}itemref") if found.get("idref") in items]
    names = [
        posixpath.normpath(posixpath.join(folder, unquote(item.get("href", "")).partition("#")[0]))
        for item in spine
        if item.get("media-type") in _CHAPTERS and "nav" not in item.get("properties", "").split()
    ]
    return list(dict.fromkeys(names))


def _encrypted(package: Package) -> set[str]:
    if "META-INF/encryption.xml" not in package:
        return set()
    return {
        posixpath.normpath(unquote(found.get("URI", ""))).lstrip("/").lower()
        for found in package.tree("META-INF/encryption.xml").iter("{*}CipherReference")
    }
