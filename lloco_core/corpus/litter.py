"""Files that are never documents: hidden ones, and what file managers and batch jobs leave beside their data.

A listing ignores and counts them. They are no rejections: nobody can repair a `Thumbs.db`.
"""

from __future__ import annotations

import re

FILES = {
    "thumbs.db": "previews of Windows",
    "ehthumbs.db": "previews of Windows",
    "ehthumbs_vista.db": "previews of Windows",
    "desktop.ini": "folder settings of Windows",
    "icon\r": "folder icon of macOS",
    "_success": "end marker of Hadoop and Spark",
    "_metadata": "footers of a Parquet folder",
    "_common_metadata": "schema of a Parquet folder",
}
"""Names in small letters, whatever the case in the listing."""
PREFIXES = {"_committed_": "commit marker of Spark", "_started_": "commit marker of Spark"}
SUFFIXES = {"_$folder$": "folder marker of Hadoop on object stores", ".crc": "checksum of Hadoop"}
FOLDERS = {
    "__macosx": "resource forks of macOS",
    "$recycle.bin": "waste bin of Windows",
    "system volume information": "Windows",
    "lost+found": "file system check",
    "@eadir": "previews of a Synology share",
    "#recycle": "waste bin of a Synology share",
    "_temporary": "unfinished output of Hadoop and Spark",
    "_delta_log": "log of a Delta table",
    "_spark_metadata": "log of a streaming query",
}
HIDDEN = {".": "hidden files and folders, `._*` of macOS, temporary files of this package", "~$": "lock files of Office"}
"""Beginnings of hidden names."""
FORGOTTEN = ("_forgotten/<24 digits>.*", "what a store, wherever it was copied to, says of a forgotten document")

_PREFIXES, _SUFFIXES, _HIDDEN = tuple(PREFIXES), tuple(SUFFIXES), tuple(HIDDEN)
_HIDDEN_BELOW = tuple(f"/{beginning}" for beginning in HIDDEN)
_FORGOTTEN = re.compile(r"(^|/)_forgotten/[0-9a-f]{24}\.(json|txt)$")


def is_hidden(key: str) -> bool:
    """Whether a file or a folder above it is hidden, or says what was forgotten."""
    if "_forgotten/" in key and _FORGOTTEN.search(key):
        return True
    if not key.startswith(_HIDDEN) and not any(beginning in key for beginning in _HIDDEN_BELOW):
        return False
    return any(part.startswith(_HIDDEN) and part not in (".", "..") for part in key.split("/"))  # steps up are refused, not left out


def is_litter(key: str) -> bool:
    """Whether a file, or a folder above it, is a marker or litter."""
    *folders, name = key.lower().split("/")
    return name in FILES or name.startswith(_PREFIXES) or name.endswith(_SUFFIXES) or any(folder in FOLDERS for folder in folders)
