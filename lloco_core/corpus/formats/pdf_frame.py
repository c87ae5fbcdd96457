"""The bytes of a PDF inside what was stored: mail or web-server headers before it, padding or another file behind it.

A file that was cut has no end mark, or objects behind its last one (an update, or a file made for the web, of which the first part
ends with a mark of its own).
"""

from __future__ import annotations

import re

from lloco_core.corpus.reasons import Reason, Rejected

_HEADER, _END = b"%PDF-", b"%%EOF"
_PARTS = re.compile(rb"\d\s+\d+\s+obj\b|\bendobj\b|\bendstream\b")
_POINTER = re.compile(rb"startxref\s+(\d+)\s*%{0,2}E?O?\s*$")
_POINTER_BYTES = 100
_TABLE = re.compile(rb"\s*(xref\b|\d+\s+\d+\s+obj\b)")


def whole_pdf(data: bytes) -> bytes:
    """From the header to the last end mark.

    Raises:
        Rejected: `pdf_damaged`, there is no header, or the end is missing.
    """
    start = data.find(_HEADER)
    if start < 0:
        raise Rejected(Reason.PDF_DAMAGED, f"begins with {data[:8]!r} and has %PDF- nowhere; fetch the file again")
    data = data[start:] if start else data
    end = data.rfind(_END)
    pointer = _POINTER.search(data, max(0, len(data) - _POINTER_BYTES))
    if pointer and _TABLE.match(data, int(pointer[1])):  # complete but for its mark, which pypdf asks for
        return data[: pointer.end(1)] + b"\n" + _END
    if end < 0:
        raise Rejected(Reason.PDF_DAMAGED, "has no end mark %%EOF: truncated; fetch the file again")
    end += len(_END)
    if _PARTS.search(data, end):
        message = f"goes on for {len(data) - end} bytes behind its last end mark %%EOF and stops inside an object: truncated"
        raise Rejected(Reason.PDF_DAMAGED, f"{message}; fetch the file again")
    return data if end == len(data) else data[:end]
