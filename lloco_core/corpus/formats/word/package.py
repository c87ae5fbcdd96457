"""The parts of a Word file and how they refer to each other, read as forgivingly as Word does.

Only parts that hold text are read: a damaged picture, a missing property part, a wrong content type, or a relationship to nothing
costs no document. Names are compared without case, with either slash, and with or without a leading one.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import unquote
from zipfile import ZipFile

from lloco_core.corpus.formats.word.names import attribute, name
from lloco_core.corpus.reasons import Reason, Rejected

_ENCRYPTED = 1
CONTENT_TYPES = "[content_types].xml"


@dataclass(frozen=True, slots=True)
class Relationship:
    """From one part to another, or to something outside."""

    kind: str
    """Last word of its type: `officeDocument`, `footnotes`, `header`."""
    target: str | None
    """Name of a part that exists, or None."""


class Package:
    """A Word file whose parts unpack to at most `max_bytes`.

    Raises:
        BadZipFile, XMLSyntaxError, ...: as the libraries find damage.
        Rejected: `too_large_unpacked`, or `docx_damaged` when it holds no Word document.
    """

    def __init__(self, data: bytes, max_bytes: int) -> None:
        self._archive = ZipFile(BytesIO(data))
        parts = self._archive.infolist()
        unpacked = sum(part.file_size for part in parts)  # zipfile never reads past the declared size
        if unpacked > max_bytes:
            message = f"its parts unpack to {unpacked} bytes, more than {max_bytes}; split it or raise corpus.max_bytes"
            raise Rejected(Reason.TOO_LARGE_UNPACKED, message)
        self._parts = {plain(part.filename): part for part in parts}
        self._roots: dict[str, Any] = {}
        self.main = self._main()

    def read(self, part: str) -> bytes:
        """The bytes of a part."""
        if self._parts[part].flag_bits & _ENCRYPTED:
            raise Rejected(Reason.DOCX_DAMAGED, f"part {part} is encrypted; save it without a password")
        return self._archive.read(self._parts[part])

    def xml(self, part: str | None) -> Any:
        """The root element of a part; None without a part."""
        from lxml import etree

        if part is None:
            return None
        if part not in self._roots:
            parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
            root = etree.fromstring(self.read(part), parser)
            if root.getroottree().docinfo.doctype:
                raise Rejected(Reason.DOCX_DAMAGED, f"part {part} declares a document type, as no Word file does; open and save it again")
            self._roots[part] = root
        return self._roots[part]

    def relationships(self, part: str) -> dict[str, Relationship]:
        """What a part refers to, by the ids it uses; of the package itself with an empty name."""
        folder, file = posixpath.split(part)
        found = plain(f"{folder}/_rels/{file}.rels")
        if found not in self._parts:
            return {}
        return {item.get("Id", ""): self._relationship(folder, item) for item in self.xml(found) if name(item).endswith(":Relationship")}

    def related(self, part: str, kind: str) -> str | None:
        """The part that another one refers to by a kind; None when there is none."""
        found = (item.target for item in self.relationships(part).values() if item.kind == kind and item.target)
        return next(found, None)

    def part_of(self, part: str, element: Any, reference: str) -> str | None:
        """The part that an element refers to by an attribute such as `r:id`."""
        found = self.relationships(part).get(attribute(element, reference) or "")
        return found.target if found else None

    def _relationship(self, folder: str, item: Any) -> Relationship:
        kind, target = item.get("Type", "").rpartition("/")[2], item.get("Target", "")
        if item.get("TargetMode", "").lower() == "external":
            return Relationship(kind, None)
        absolute = target if target.startswith(("/", "\\")) else f"{folder}/{target}"
        candidates = (plain(absolute), plain(unquote(absolute)), plain(target))
        return Relationship(kind, next((part for part in candidates if part in self._parts), None))

    def _main(self) -> str:
        declared = (self.related("", "officeDocument"), self._declared_main(), "word/document.xml")
        for part in declared:
            if part in self._parts and name(self.xml(part)) == "w:document":
                return part
        raise Rejected(Reason.DOCX_DAMAGED, "holds no Word document; open it in its own program and save it as .docx")

    def _declared_main(self) -> str | None:
        if CONTENT_TYPES not in self._parts:
            return None
        found = [item for item in self.xml(CONTENT_TYPES) if item.get("ContentType", "").endswith(".main+xml")]
        return next((plain(item.get("PartName", "")) for item in found), None)


def plain(part: str) -> str:
    """A part's name in the one form it is looked for."""
    return posixpath.normpath(part.replace("\\", "/")).lstrip("/").lower()
