"""Why a document was not read: the complete set of reason codes.

The codes are stored in the quarantine table and alerted on, so an existing code is never renamed. Parsers raise
`Rejected`; only `reading.py`, `formats/parse.py`, and `formats/containers.py` turn it into a `Rejection`.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reason codes of the stages `list`, `read`, and `parse`."""

    UNREADABLE = "unreadable"
    """The object is missing, denied, not a regular file, or a link that leaves the corpus."""
    TOO_LARGE = "too_large"
    """More bytes as stored than `corpus.max_bytes`; such an object is not read."""
    TOO_LARGE_UNPACKED = "too_large_unpacked"
    """More than `corpus.max_bytes` after decompression (.gz, .zst, .bz2, .xz, .pdf, .parquet, and the parts of office files and books)."""
    EMPTY = "empty"
    """No bytes, nothing but white space, or a container without rows."""
    UNKNOWN_FORMAT = "unknown_format"
    """Neither the suffix of the file's name nor its first bytes belong to a format that this package reads."""
    BINARY = "binary"
    """Binary data under the name of a text format."""
    UNDECODABLE = "undecodable"
    """Not binary, but no character encoding gives plausible text."""
    ARCHIVE_DAMAGED = "archive_damaged"
    """A .gz, .zst, .bz2, or .xz that is truncated, corrupt, or of another format. Of a container of lines those before the damage are
    read, and those that are lost are counted where their number is known or can be estimated."""
    ARCHIVE_MEMORY = "archive_memory"
    """Unpacking takes a larger window (.zst) or dictionary (.xz) than `corpus.parse_memory_mb`; the file is sound."""
    ARCHIVE_UNSUPPORTED = "archive_unsupported"
    """Packed with a dictionary of its own, or with filters that are not known; the file is sound."""
    HTML_NO_TEXT = "html_no_text"
    """A page without any visible text, or with no more than a script's shell or a consent banner shows."""
    PDF_DAMAGED = "pdf_damaged"
    """Not a PDF, truncated, or with a broken structure."""
    PDF_ENCRYPTED = "pdf_encrypted"
    """Opening it takes a password."""
    PDF_NO_TEXT = "pdf_no_text"
    """No page has a text layer (scans), what it holds is no language, or more pages lack one than `corpus.max_empty_pages` allows."""
    DOCX_DAMAGED = "docx_damaged"
    """Not a Word document, truncated, or password-protected."""
    FILE_DAMAGED = "file_damaged"
    """A spreadsheet, presentation, book, mail, RTF, JSON, or notebook file that is not one, truncated, or corrupt; or a page that is nested
    too deep to be read to its end."""
    FILE_ENCRYPTED = "file_encrypted"
    """Opening such a file takes a password, or its text is under digital rights management."""
    PARQUET_DAMAGED = "parquet_damaged"
    """Not a Parquet file, truncated, or corrupt; or rows of one that stand in a damaged part, and are counted."""
    ROW_MALFORMED = "row_malformed"
    """A line of a .jsonl file or an item of a .json array that is not an object, one with more cells than its table has columns, or a
    row whose text, id, or group is not UTF-8."""
    ROW_WITHOUT_TEXT = "row_without_text"
    """A row whose text field is missing, empty, or not a string; or a Parquet file without that column."""
    ID_INVALID = "id_invalid"
    """A given document id that is not 1 to 256 printable characters without path separators."""
    ID_DUPLICATE = "id_duplicate"
    """A second row of one container with the same id, or a document whose id another object already has."""
    NO_GROUP = "no_group"
    """The document's metadata or folder names no group although `corpus.group_by` requires one."""
    PARSER_FAILED = "parser_failed"
    """A parser library failed in a way this package does not know; the message has its exception."""
    PARSER_TIMEOUT = "parser_timeout"
    """Parsing took longer than `corpus.parse_seconds`, twice."""
    PARSER_MEMORY = "parser_memory"
    """Parsing took more than `corpus.parse_memory_mb`, twice."""
    PARSER_KILLED = "parser_killed"
    """The parser's process died of the object, twice; the message has the signal."""


class Rejected(Exception):
    """Raised while parsing to reject the document, or the row, at hand. `n_documents` counts what is lost with it: the rows that were
    not read."""

    def __init__(self, reason: Reason, message: str, n_documents: int = 1) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.n_documents = n_documents


def parser_failed(error: Exception) -> Rejected:
    """What a parser library threw, as a reason."""
    first_line = str(error).partition("\n")[0][:300]
    message = f"{type(error).__name__}: {first_line}; check that the file opens in its own program, or exclude it"
    return Rejected(Reason.PARSER_FAILED, message)
