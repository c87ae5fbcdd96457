"""The corpus of `make run`: text that ships with the interpreter and the installed packages, in every format.

`python-reference/` has the topics of `help()`, `distributions/` the METADATA of installed distributions. Shortest first
within the limits, so that the corpus is small and the same wherever the same packages are installed. A document's
format follows from its name. Files whose content is already there are not touched.
"""

from __future__ import annotations

import gzip
import html
import json
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from lloco_core.command_line import one_line_errors
from lloco_core.corpus.demo_pdf import text_pdf
from lloco_core.fingerprint import digest
from lloco_core.objects import LocalObjects

_MIN_DESCRIPTION = 400
_ROW_CHARS = 800
"""Topics up to this length become rows of one file."""
_TOPIC_FORMATS = ("txt", "html", "docx", "pdf", "txt.gz")
Texts = dict[str, str]


def export_demo_corpus(folder: Path, max_chars_per_document: int = 12_000, max_total_chars: int = 150_000) -> int:
    """Write the demo corpus and return its number of documents; half of `max_total_chars` goes to each folder."""
    topics = _shortest(_topics(), max_chars_per_document, max_total_chars // 2)
    metadata = _shortest(_metadata(), max_chars_per_document, max_total_chars - max_total_chars // 2)
    objects = LocalObjects(str(folder))
    for key, data in [*_topic_files(topics), *_distribution_files(metadata)]:
        if objects.stat(key) is None or objects.get(key) != data:
            objects.put(key, data)
    return len(topics) + len(metadata)


def _topics() -> Texts:
    from pydoc_data.topics import topics

    return dict(topics)


def _metadata() -> Texts:
    texts: Texts = {}
    for distribution in distributions():
        text = distribution.read_text("METADATA") or ""
        _, _, description = text.partition("\n\n")
        if len(description) >= _MIN_DESCRIPTION:
            texts.setdefault(distribution.metadata["Name"].lower(), text)
    return texts


def _shortest(texts: Texts, max_chars: int, max_total: int) -> Texts:
    chosen: Texts = {}
    for name in sorted(texts, key=lambda name: (len(texts[name]), name)):
        max_total -= len(texts[name])
        if len(texts[name]) > max_chars or max_total < 0:
            break
        chosen[name] = texts[name]
    return chosen


def _topic_files(topics: Texts) -> Iterator[tuple[str, bytes]]:
    rows = {name: text for name, text in topics.items() if len(text) <= _ROW_CHARS}
    if rows:
        yield "python-reference/short-topics.jsonl", _jsonl(rows)
    for name, text in topics.items():
        if name not in rows:
            kind = _TOPIC_FORMATS[int(digest(name, 8), 16) % len(_TOPIC_FORMATS)]
            kind = "txt" if kind == "pdf" and not text.isascii() else kind
            yield f"python-reference/{name}.{kind}", _render(name, text, kind, topics)


def _distribution_files(metadata: Texts) -> Iterator[tuple[str, bytes]]:
    import zstandard

    markdown = {name: text for name, text in metadata.items() if "\nDescription-Content-Type: text/markdown" in text}
    yield from ((f"distributions/{name}.md", text.encode()) for name, text in markdown.items())
    others = {name: text for name, text in metadata.items() if name not in markdown}
    rows = {name: text for name, text in others.items() if int(digest(name, 8), 16) % 2}
    if rows:
        yield "distributions/collected.jsonl.zst", zstandard.ZstdCompressor(write_checksum=True).compress(_jsonl(rows))
    yield from ((f"distributions/{name}.txt", text.encode()) for name, text in others.items() if name not in rows)


def _jsonl(texts: Texts) -> bytes:
    rows = ({"id": name, "title": name, "text": text} for name, text in texts.items())
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _render(name: str, text: str, kind: str, topics: Texts) -> bytes:
    match kind:
        case "html":
            return _page(name, text, list(topics)).encode()
        case "docx":
            return _word(name, text)
        case "pdf":
            return text_pdf(text, name)
        case "txt.gz":
            return gzip.compress(text.encode(), mtime=0)
    return text.encode()


def _page(name: str, text: str, names: list[str]) -> str:
    links = " ".join(f'<li><a href="{other}.html">{other}</a></li>' for other in names[:12])
    blocks = [html.escape(block, quote=False) for block in text.split("\n\n")]
    body = "\n".join(f"<pre>{block}</pre>" if block.startswith(" ") else f"<p>{block}</p>" for block in blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title></head><body>\n'
        f"<nav><ul>{links}</ul></nav>\n<main><article>\n{body}\n</article></main>\n"
        f"<footer>{html.escape(sys.copyright)}</footer>\n</body></html>\n"
    )


def _word(name: str, text: str) -> bytes:
    from docx import Document

    document = Document()
    document.core_properties.title = name
    for block in text.split("\n\n"):
        document.add_paragraph(block)
    saved, fixed = BytesIO(), BytesIO()
    document.save(saved)
    with ZipFile(saved) as archive, ZipFile(fixed, "w") as copy:
        for part in archive.infolist():  # python-docx stamps parts with the time of day
            copy.writestr(ZipInfo(part.filename), archive.read(part), compress_type=part.compress_type)
    return fixed.getvalue()


if __name__ == "__main__":
    with one_line_errors():
        export_demo_corpus(Path(sys.argv[1]))
