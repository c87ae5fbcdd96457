"""UTF-16 and UTF-32 without a byte order mark, known by where their zero bytes lie."""

from __future__ import annotations

_SAMPLE = 65_536
"""Bytes; a multiple of four."""


def read_wide(data: bytes) -> str | None:
    """Text of data that has zero bytes, None where it is neither."""
    import chardet

    found = chardet.detect(data[:_SAMPLE], compat_names=False)["encoding"] or ""
    return data.decode(found, "replace") if found.startswith(("utf-16-", "utf-32-")) else None
