"""PDF to text, page by page, keeping where each page begins so that an answer can cite it.

The text layer of every page, with what was typed into its form fields and its free-text notes. A page whose layer is no language
(`text_layer.py`) is a page without text.
"""

from __future__ import annotations

from io import BytesIO
from itertools import accumulate

from lloco_core.corpus.decoding import normalise_text
from lloco_core.corpus.formats.pdf_frame import whole_pdf
from lloco_core.corpus.formats.pdf_pages import page_text
from lloco_core.corpus.formats.pdf_xfa import xfa_text
from lloco_core.corpus.formats.quiet import quiet
from lloco_core.corpus.formats.read_text import ReadText
from lloco_core.corpus.formats.text_layer import is_language
from lloco_core.corpus.reasons import Reason, Rejected

_BETWEEN_PAGES = "\n\n"


def read_pdf(data: bytes, max_bytes: int) -> ReadText:
    """Read the text layer; `page_starts` has one offset per page, empty pages included."""
    pages, n_unreadable, title = _read_pages(whole_pdf(data), max_bytes)
    if not pages:
        raise Rejected(Reason.PDF_DAMAGED, "no page can be found in it; open and save it with a PDF editor")
    n_empty = sum(not page for page in pages)
    if n_empty == len(pages):
        found = "scans?" if not n_unreadable else f"{n_unreadable} of them hold glyph names or codes instead of characters"
        raise Rejected(Reason.PDF_NO_TEXT, f"none of its {len(pages)} pages has a text layer ({found}); run OCR over it first")
    starts = accumulate((len(page) + len(_BETWEEN_PAGES) for page in pages[:-1]), initial=0)
    return ReadText(_BETWEEN_PAGES.join(pages), title, tuple(starts), n_empty)


def _read_pages(data: bytes, max_bytes: int) -> tuple[list[str], int, str | None]:
    """Text of every page, how many of them hold something that is no language, and the title."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError, PyPdfError

    pages: list[str] = []
    n_unreadable = unpacked = 0
    try:
        with quiet("pypdf"):
            reader = PdfReader(BytesIO(data))
            if reader.is_encrypted and not reader.decrypt(""):  # the empty password opens files that only restrict printing
                raise Rejected(Reason.PDF_ENCRYPTED, "opening it takes a password; save it without one")
            form = xfa_text(reader)
            for page in reader.pages:
                text = page_text(page) if form is None or pages else form
                unpacked += len(text)
                if unpacked > max_bytes:
                    raise Rejected(Reason.TOO_LARGE_UNPACKED, f"holds more than {max_bytes} characters; split it or raise corpus.max_bytes")
                readable = is_language(text)
                n_unreadable += bool(text.strip()) and not readable
                pages.append(normalise_text(text) if readable else "")
            return pages, n_unreadable, reader.metadata.title if reader.metadata else None
    except (DependencyError, FileNotDecryptedError) as error:
        raise Rejected(Reason.PDF_ENCRYPTED, f"cannot be decrypted: {error}; save it without a password") from error
    except LimitReachedError as error:
        raise Rejected(Reason.TOO_LARGE_UNPACKED, f"unpacks beyond a limit of pypdf: {error}; split the document") from error
    except PyPdfError as error:
        raise Rejected(Reason.PDF_DAMAGED, f"page {len(pages) + 1}: {error}; open and save it with a PDF editor") from error
