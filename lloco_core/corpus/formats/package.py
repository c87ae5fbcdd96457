"""The parts of an Office or EPUB file (a zip archive of XML), read one by one within a limit of bytes.

Only what a reader asks for is unpacked: pictures, fonts, and bombs stay packed. Relationships to parts that are not there are
passed over, as Word, Excel, and PowerPoint do. Entities of XML are not followed.
"""

from __future__ import annotations

import posixpath
import zlib
from io import BytesIO
from typing import Any
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile

from lloco_core.corpus.reasons import Reason, Rejected

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""What files of Office begin with: those of today, and old or locked ones."""
_LOCKED = "EncryptedPackage".encode("utf-16-le")
"""Name of the stream that a password-protected Office file has."""
_LOCKED_BIT = 1


class Package:
    """An opened archive. Names of parts are found in any case."""

    def __init__(self, data: bytes, max_bytes: int) -> None:
        refuse_ole(data)
        try:
            self._archive = ZipFile(BytesIO(data))
        except (BadZipFile, ValueError, EOFError, NotImplementedError, OSError) as error:
            raise damaged(error) from error
        self._parts = {info.filename.replace("\\", "/").lstrip("/").lower(): info for info in self._archive.infolist()}
        self._max_bytes, self._left = max_bytes, max_bytes

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._parts

    def names(self) -> list[str]:
        """Names of all parts, in small letters."""
        return list(self._parts)

    def unpacked(self, suffix: str) -> int:
        """Bytes that the parts of one suffix say to have."""
        return sum(info.file_size for name, info in self._parts.items() if name.endswith(suffix))

    def read(self, name: str) -> bytes:
        """One part.

        Raises:
            Rejected: it is missing, locked, or corrupt, or the parts read so far are more than the limit.
        """
        info = self._parts.get(name.lower())
        if info is None:
            raise Rejected(Reason.FILE_DAMAGED, f"has no part {name!r}; open it in its own program and save it again")
        if info.flag_bits & _LOCKED_BIT:
            raise Rejected(Reason.FILE_ENCRYPTED, f"its part {name!r} is locked by a password; save it without one")
        try:
            with self._archive.open(info) as part:
                data = part.read(self._left + 1)
        except (BadZipFile, ValueError, EOFError, NotImplementedError, OSError, RuntimeError, zlib.error) as error:
            raise damaged(error, name) from error
        self._left -= len(data)
        if self._left < 0:
            message = f"its parts unpack to more than {self._max_bytes} bytes; split it or raise corpus.max_bytes"
            raise Rejected(Reason.TOO_LARGE_UNPACKED, message)
        return data

    def tree(self, name: str) -> Any:
        """The root element of a part of XML.

        Raises:
            Rejected: as `read`, or the part is no XML.
        """
        return parse_xml(self.read(name), name)

    def related(self, name: str) -> dict[str, tuple[str, str]]:
        """Relationships of a part to parts that are there: id to the last word of its type, in small letters, and the name of the part."""
        folder, _, file = name.rpartition("/")
        rels = f"{folder}/_rels/{file}.rels".lstrip("/")
        if rels not in self:
            return {}
        found = {}
        for item in self.tree(rels).iter("{*}Relationship"):
            target = unquote(item.get("Target", ""))
            path = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            if item.get("TargetMode") != "External" and path in self:
                found[item.get("Id", "")] = (item.get("Type", "").rpartition("/")[2].lower(), path)
        return found

    def related_by(self, name: str, kind: str) -> list[str]:
        """Names of the parts that a part is related to in one way, such as `comments`."""
        return [path for found, path in self.related(name).values() if found == kind.lower()]


def local_name(element: Any) -> str:
    """An element's name without its namespace; empty for what is no element."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def relation_id(element: Any) -> str:
    """The id by which an element refers to another part (`r:id`); empty without one."""
    return next((value for name, value in element.attrib.items() if name.endswith("}id")), "")


def refuse_ole(data: bytes) -> None:
    """Refuse the container of old and of password-protected Office files.

    Raises:
        Rejected: `file_encrypted` or `file_damaged`.
    """
    refuse_locked(data)
    if data.startswith(OLE):
        raise Rejected(Reason.FILE_DAMAGED, "is a file of Office 97 to 2003 under another suffix; save it in the current format")


def refuse_locked(data: bytes) -> None:
    """Refuse a password-protected Office file.

    Raises:
        Rejected: `file_encrypted`.
    """
    if data.startswith(OLE) and _LOCKED in data:
        raise Rejected(Reason.FILE_ENCRYPTED, "opening it takes a password; save it without one")


def parse_xml(data: bytes, name: str) -> Any:
    """The root element of XML, without comments and without following entities.

    Raises:
        Rejected: `file_damaged`.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise damaged(error, name) from error


def damaged(error: Exception, name: str = "") -> Rejected:
    """The rejection for what a library says about a broken file."""
    message = str(error).partition("\n")[0][:200]
    where = f"its part {name!r} is" if name else "is"
    return Rejected(Reason.FILE_DAMAGED, f"{where} not readable ({type(error).__name__}: {message}); open and save it in its own program")
