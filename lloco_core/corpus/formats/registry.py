"""Every format that is read: suffixes, media type, reader, what becomes a document, and what is left out.

`parse.py` picks a reader here, and the table of docs/formats.md is generated from it (`python -m benchmarks.formats_table`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lloco_core.config import CorpusConfig
from lloco_core.corpus.formats.delimited import read_delimited
from lloco_core.corpus.formats.epub import read_epub
from lloco_core.corpus.formats.html import read_html
from lloco_core.corpus.formats.json_text import read_json
from lloco_core.corpus.formats.mail import read_mail, read_mhtml
from lloco_core.corpus.formats.notebook import read_notebook
from lloco_core.corpus.formats.pdf import read_pdf
from lloco_core.corpus.formats.pptx import read_pptx
from lloco_core.corpus.formats.read_text import ReadText, read_markdown, read_plain
from lloco_core.corpus.formats.rtf import read_rtf
from lloco_core.corpus.formats.spreadsheet import read_spreadsheet
from lloco_core.corpus.formats.word import read_docx
from lloco_core.corpus.jsonl import jsonl_rows
from lloco_core.corpus.parquet import parquet_rows
from lloco_core.corpus.rows import Rows

Reader = Callable[[bytes, int], ReadText]
RowReader = Callable[[bytes, CorpusConfig], Rows]
EitherReader = Callable[[bytes, CorpusConfig], ReadText | Rows]

WHOLE = "one document"
ROWS = "one document per row"
EITHER = "one document per row with a `corpus.text_field`, else one document"


@dataclass(frozen=True, slots=True)
class Format:
    """One format; one of the three readers is given."""

    name: str
    suffixes: tuple[str, ...]
    media_type: str
    library: str
    left_out: str
    read: Reader | None = None
    rows: RowReader | None = None
    either: EitherReader | None = None
    in_lines: bool = False
    """Whether a row is a line, so that the beginning of a file that is cut off can be read."""

    @property
    def documents(self) -> str:
        """What of a file becomes a document."""
        return EITHER if self.either else ROWS if self.rows else WHOLE


def _jsonl(data: bytes, _: CorpusConfig) -> Rows:
    return jsonl_rows(data)


def _parquet(data: bytes, config: CorpusConfig) -> Rows:
    exact = {config.group_field, config.id_field} - {None}
    return parquet_rows(data, config.max_bytes, config.text_field, exact)


_OFFICE = "application/vnd.openxmlformats-officedocument"

FORMATS = (
    Format("plain text", (".txt", ".text", ".log", ".rst"), "text/plain", "chardet", "nothing", read_plain),
    Format("Markdown", (".md", ".markdown"), "text/markdown", "chardet", "nothing", read_markdown),
    Format(
        "HTML",
        (".html", ".htm", ".xhtml"),
        "text/html",
        "trafilatura, lxml",
        "navigation, footers, scripts, hidden parts, consent banners",
        read_html,
    ),
    Format("PDF", (".pdf",), "application/pdf", "pypdf", "pictures and scans (no OCR), comments, hidden fields", read_pdf),
    Format(
        "Word",
        (".docx", ".docm", ".dotx", ".dotm"),
        f"{_OFFICE}.wordprocessingml.document",
        "lxml",
        "deleted and hidden text, comments, pictures, charts, embedded objects, headers and footers that repeat the document",
        read_docx,
    ),
    Format(
        "PowerPoint",
        (".pptx", ".pptm", ".ppsx", ".potx"),
        f"{_OFFICE}.presentationml.presentation",
        "lxml",
        "pictures and their descriptions, numbers of charts, footers, slide numbers, layouts and masters",
        read_pptx,
    ),
    Format(
        "Excel",
        (".xlsx", ".xlsm", ".xltx"),
        f"{_OFFICE}.spreadsheetml.sheet",
        "openpyxl; python-calamine where it fails",
        "`veryHidden` sheets, formulas without a saved value, pictures, numbers of charts, headers, footers",
        either=read_spreadsheet,
    ),
    Format(
        "other spreadsheets",
        (".xls", ".xlsb", ".ods"),
        "application/vnd.ms-excel",
        "python-calamine",
        "number formats (0.25 for 25 %), text boxes, comments, charts, pictures",
        either=read_spreadsheet,
    ),
    Format("CSV, TSV", (".csv", ".tsv", ".tab"), "text/csv", "csv", "nothing", either=read_delimited),
    Format(
        "JSON",
        (".json", ".geojson"),
        "application/json",
        "json",
        "nulls; counts and links beside the rows of a container",
        either=read_json,
    ),
    Format("JSON lines", (".jsonl", ".ndjson"), "application/jsonl", "json", "nothing", rows=_jsonl, in_lines=True),
    Format(
        "Parquet",
        (".parquet",),
        "application/vnd.apache.parquet",
        "pyarrow",
        "columns of lists and objects, bytes that are no text",
        rows=_parquet,
    ),
    Format("e-book", (".epub",), "application/epub+zip", "lxml", "table of contents, pictures, books under rights management", read_epub),
    Format("mail", (".eml",), "message/rfc822", "email", "attachments that are not text (named), HTML beside plain text", read_mail),
    Format("web archive", (".mht", ".mhtml"), "multipart/related", "email, trafilatura", "as HTML; frames", read_mhtml),
    Format("RTF", (".rtf",), "application/rtf", "own code", "hidden text, deleted text, pictures, headers, footers, comments", read_rtf),
    Format("notebook", (".ipynb",), "application/x-ipynb+json", "json", "pictures and HTML of outputs, attachments", read_notebook),
)
BY_SUFFIX = {suffix: found for found in FORMATS for suffix in found.suffixes}
