"""Content addressing: the hashes that name documents, versions, plans, recipes, and adapters.

A name is a SHA-256 over the canonical JSON (sorted keys, no spaces) of what it stands for, cut to the given
number of hexadecimal digits. Equal inputs give equal names on every machine.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def digest(value: Any, length: int = 24) -> str:
    """Hash a JSON-serialisable value to `length` hexadecimal digits."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest_bytes(canonical.encode("utf-8", "surrogatepass"), length)


def digest_bytes(data: bytes, length: int = 24) -> str:
    """Hash raw bytes to `length` hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:length]


def file_digest(path: Path) -> str:
    """The whole SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
