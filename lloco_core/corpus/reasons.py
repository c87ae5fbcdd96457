"""Why a document was not read: the complete set of reason codes.

The codes are stored in the quarantine table and alerted on, so an existing code is never renamed. Parsers raise
`Rejected`; only `reading.py` and `formats/parse.py` turn it into a `Rejection`.
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
    """More than `corpus.max_bytes` after decompression (.gz, .zst, .docx, .pdf, .parquet)."""
    EMPTY = "empty"
    """No bytes, nothing but white space, or a container without rows."""
    UNKNOWN_FORMAT = "unknown_format"
    """The file name has no suffix that this package reads."""
    BINARY = "binary"
    """Binary data under the name of a text format."""
    UNDECODABLE = "undecodable"
    """Not binary, but no character encoding gives plausible text."""
    ARCHIVE_DAMAGED = "archive_damaged"
    """A .gz or .zst that is truncated, corrupt, or of another format."""
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
    PARQUET_DAMAGED = "parquet_damaged"
    """Not a Parquet file, truncated, or corrupt."""
    ROW_MALFORMED = "row_malformed"
    """A line of a .jsonl file that is not a JSON object in UTF-8."""
    ROW_WITHOUT_TEXT = "row_without_text"
    """A row whose text field is missing, empty, or not a string; or a Parquet file without that column."""
    ID_INVALID = "id_invalid"
    """A given document id that is not 1 to 256 printable characters without path separators."""
    ID_DUPLICATE = "id_duplicate"
    """A second row of one container with the same id."""
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
    """Raised while parsing to reject the document, or the row, at hand."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
