"""PDF to text, page by page, keeping where each page begins so that an answer can cite it."""

from __future__ import annotations

from io import BytesIO
from itertools import accumulate

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.quiet import quiet
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.reasons import Reason, Rejected

_BETWEEN_PAGES = "\n\n"
_TAIL_BYTES = 4096
"""The end mark lies in the last 1024 bytes by the rules; some writers add more after it."""


def read_pdf(data: bytes, max_bytes: int) -> ReadText:
    """Read the text layer; `page_starts` has one offset per page, empty pages included."""
    if b"%PDF-" not in data[:1024]:
        raise Rejected(Reason.PDF_DAMAGED, f"begins with {data[:8]!r}, not with %PDF-; fetch the file again")
    if b"%%EOF" not in data[-_TAIL_BYTES:]:  # pypdf would return the pages it finds and lose the rest silently
        raise Rejected(Reason.PDF_DAMAGED, f"has no end mark %%EOF in its last {_TAIL_BYTES} bytes: truncated; fetch the file again")
    pages, title = _read_pages(data, max_bytes)
    if not pages:
        raise Rejected(Reason.PDF_DAMAGED, "no page can be found in it; open and save it with a PDF editor")
    if not any(page.strip() for page in pages):
        raise Rejected(Reason.PDF_NO_TEXT, f"none of its {len(pages)} pages has a text layer (scans?); run OCR over it first")
    starts = accumulate((len(page) + len(_BETWEEN_PAGES) for page in pages[:-1]), initial=0)
    return ReadText(_BETWEEN_PAGES.join(pages), title, tuple(starts))


def _read_pages(data: bytes, max_bytes: int) -> tuple[list[str], str | None]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError, PyPdfError

    pages: list[str] = []
    try:
        with quiet("pypdf"):
            reader = PdfReader(BytesIO(data))
            if reader.is_encrypted and not reader.decrypt(""):  # the empty password opens files that only restrict printing
                raise Rejected(Reason.PDF_ENCRYPTED, "opening it takes a password; save it without one")
            unpacked = 0
            for page in reader.pages:
                pages.append(normalise_text(page.extract_text()))
                unpacked += len(pages[-1])
                if unpacked > max_bytes:
                    raise Rejected(Reason.TOO_LARGE_UNPACKED, f"holds more than {max_bytes} characters; split it or raise corpus.max_bytes")
            return pages, reader.metadata.title if reader.metadata else None
    except (DependencyError, FileNotDecryptedError) as error:
        raise Rejected(Reason.PDF_ENCRYPTED, f"cannot be decrypted: {error}; save it without a password") from error
    except LimitReachedError as error:
        raise Rejected(Reason.TOO_LARGE_UNPACKED, f"unpacks beyond a limit of pypdf: {error}; split the document") from error
    except PyPdfError as error:
        raise Rejected(Reason.PDF_DAMAGED, f"page {len(pages) + 1}: {error}; open and save it with a PDF editor") from error
