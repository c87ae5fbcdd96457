"""Files made to do harm, next to a valid one of every format: bombs, loops, huge declared sizes, deep nesting, odd encodings.

`harmful_files` yields (format, what is wrong, suffix, bytes). Always the same, except for the random keys of the encrypted PDF.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from lloco_core.corpus.demo_pdf import text_pdf

MB = 2**20
BOMB = 40 * MB
"""Above the default of `corpus.max_bytes`, 32 MB."""
LINES = [f"Line {number} of a report about rivers, harbours, and winter weather in the north." for number in range(90)]
TEXT = "\n".join(LINES)
ROWS = [{"text": line, "title": f"Row {number}", "year": 2000 + number} for number, line in enumerate(LINES[:12])]
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
DOCX_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package'
        '.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/officeDocument" '
        'Target="word/document.xml"/></Relationships>'
    ),
}


def endless_html(attributes: int) -> bytes:
    """A valid page that takes time quadratic in its length to parse."""
    return page(f"<p {' '.join(f'a{number}=1' for number in range(attributes))}>text</p>")


def quadratic_text(characters: int) -> bytes:
    """Valid text that takes time quadratic in its length to bring into the normal form: marks in the wrong order."""
    return ("a" + "\u0301\u0316" * (characters // 2)).encode()


def paragraph_bomb(paragraphs: int) -> bytes:
    """A small Word document of many empty paragraphs: its parts stay below the limit, its element tree takes 20 times as much."""
    return docx("<w:p/>" * paragraphs + "<w:p><w:r><w:t>end</w:t></w:r></w:p>")


def docx(body: str, document_type: str = "", **more: bytes) -> bytes:
    document = f"<?xml version='1.0' encoding='UTF-8'?>{document_type}<w:document {WORD}><w:body>{body}</w:body></w:document>"
    return zipped({**DOCX_PARTS, "word/document.xml": document, **more})


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zipped(parts: dict[str, str | bytes], method: int = ZIP_DEFLATED) -> bytes:
    saved = BytesIO()
    with ZipFile(saved, "w") as archive:
        for name, data in parts.items():
            archive.writestr(ZipInfo(name), data, method)
    return saved.getvalue()


def parquet(rows: list[dict[str, object]] | None = None, **columns: object) -> bytes:
    saved = BytesIO()
    pq.write_table(pa.table(columns) if columns else pa.Table.from_pylist(rows or ROWS), saved)
    return saved.getvalue()


def jsonl(rows: list[dict[str, object]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def page(body: str, head: str = "<title>Rivers</title>") -> bytes:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>".encode()


VALID: dict[str, tuple[str, bytes]] = {
    "pdf": ("pdf", text_pdf(TEXT, "Rivers")),
    "docx": ("docx", docx("".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in LINES))),
    "html": ("html", page("<h1>Rivers</h1>" + "".join(f"<p>{line} &amp; more</p>" for line in LINES))),
    "parquet": ("parquet", parquet()),
    "jsonl": ("jsonl", jsonl(ROWS)),
    "text": ("txt", (TEXT + "\nÜber die Flüsse: größer, weiter, tiefer. 河流 Реки").encode()),
    "markdown": ("md", f"# Rivers\n\n{TEXT}".encode()),
    "gzip": ("txt.gz", gzipped(TEXT.encode())),
    "zstd": ("jsonl.zst", zstandard.compress(jsonl(ROWS))),
    "packed-parquet": ("parquet.gz", gzipped(parquet())),
}
"""Format -> suffix and a file that is read without a fault."""


def harmful_files() -> Iterator[tuple[str, str, str, bytes]]:
    for kind, (suffix, _) in VALID.items():
        yield kind, "empty", suffix, b""
        yield kind, "blank", suffix, b" \n\t\r\n "
        yield kind, "nulls", suffix, bytes(5000)
    for kind, files in (
        ("pdf", _harmful_pdf()),
        ("docx", _harmful_docx()),
        ("html", _harmful_html()),
        ("parquet", _harmful_parquet()),
        ("jsonl", _harmful_jsonl()),
        ("text", _harmful_text()),
    ):
        for what, data in files.items():
            yield kind, what, VALID[kind][0], data
    for kind, suffix, what, data in _harmful_packed():
        yield kind, what, suffix, data


def _pdf(*objects: str, root: str = "1 0 R", tail: str = "") -> bytes:
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    start = len(out)
    trailer = f"trailer\n<< /Size {size} /Root {root} {tail} >>\nstartxref\n{start}\n%%EOF\n"
    return out + f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def _harmful_pdf() -> dict[str, bytes]:
    from pypdf import PdfWriter

    valid = VALID["pdf"][1]
    locked, encrypted = PdfWriter(clone_from=BytesIO(valid)), BytesIO()
    locked.encrypt("secret", "owner", algorithm="AES-256")
    locked.write(encrypted)
    catalog = "<< /Type /Catalog /Pages 2 0 R >>"
    bomb = zlib.compress(b"BT (bomb) Tj ET " * (BOMB * 2 // 16), 9).decode("latin-1")
    stream = f"<< /Length {len(bomb)} /Filter /FlateDecode >>\nstream\n{bomb}\nendstream"
    one_page = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    content = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    deep = [f"<< /Type /Pages /Kids [{number + 1} 0 R] /Count 1 >>" for number in range(2, 3000)]
    return {
        "encrypted": encrypted.getvalue(),
        "wrong-xref": valid.replace(b"startxref\n", b"startxref\n9"),
        "xref-of-itself": valid.replace(b"/Info 4 0 R", b"/Prev %d" % (valid.rindex(b"xref\n0 "))),
        "page-tree-loop": _pdf(catalog, "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"),
        "deep-page-tree": _pdf(catalog, *deep, "<< /Type /Page /MediaBox [0 0 9 9] >>"),
        "huge-count": _pdf(catalog, "<< /Type /Pages /Kids [] /Count 2000000000 >>"),
        "deep-array": _pdf(catalog, "[" * 50_000 + "]" * 50_000),
        "no-root": _pdf(catalog, root="9 0 R"),
        "catalog-of-itself": _pdf("1 0 R"),
        "huge-length": _pdf(catalog, one_page, content, "<< /Length 99999999999 >>\nstream\nBT (x) Tj ET\nendstream"),
        "length-of-itself": _pdf(catalog, one_page, content, "<< /Length 4 0 R >>\nstream\nBT (x) Tj ET\nendstream"),
        "stream-bomb": _pdf(catalog, one_page, content, stream),
        "form-of-itself": _pdf(
            catalog,
            one_page,
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /A 5 0 R >> >> >>",
            "<< /Length 5 >>\nstream\n/A Do\nendstream",
            "<< /Type /XObject /Subtype /Form /Resources << /XObject << /A 5 0 R >> >> /Length 5 >>\nstream\n/A Do\nendstream",
        ),
    }


def _harmful_docx() -> dict[str, bytes]:
    laughs = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 12))
    paragraph = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"
    parts = {**DOCX_PARTS, "word/document.xml": f"<w:document {WORD}><w:body/></w:document>"}
    valid = VALID["docx"][1]
    directory = valid.rindex(b"PK\x01\x02")
    table = "<w:tbl><w:tr><w:tc>{}</w:tc></w:tr></w:tbl>"
    nested = "<w:p/>"
    for _ in range(150):
        nested = table.format(nested)
    return {
        "zip-bomb": docx(paragraph.format("x"), **{"word/media.bin": bytes(BOMB)}),
        "part-bomb": docx(paragraph.format("x" * BOMB)),
        "entity-bomb": docx(paragraph.format("&l11;"), f'<!DOCTYPE d [<!ENTITY l0 "ha ha ha">{laughs}]>'),
        "outer-entity": docx(paragraph.format("&e;"), '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/hostname">]>'),
        "deep-elements": docx("<w:p>" * 20_000 + "</w:p>" * 20_000),
        "deep-tables": docx(nested),
        "no-document": zipped(DOCX_PARTS),
        "no-types": zipped({name: data for name, data in parts.items() if "Types" not in name}),
        "not-xml": zipped({**parts, "word/document.xml": "not xml"}),
        "other-xml": zipped({**parts, "word/document.xml": "<a/>"}),
        "up-and-out": zipped({**parts, "../../outside.txt": "x"}),
        "many-parts": zipped({**parts, **{f"word/{number}": b"" for number in range(20_000)}}, ZIP_STORED),
        "understated-size": valid[: directory + 24] + struct.pack("<I", 10) + valid[directory + 28 :],
        "overstated-size": valid[: directory + 24] + b"\xfe\xff\xff\xff" + valid[directory + 28 :],
        "locked-part": valid[: directory + 8] + b"\x01\x00" + valid[directory + 10 :],
        "zip-in-zip": zipped({"inner.docx": valid}),
        "old-word": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000),
    }


def _harmful_html() -> dict[str, bytes]:
    return {
        "deep-elements": b"<div>" * 30_000 + b"text",
        "deep-tables": b"<table><tr><td>" * 3_000 + b"text",
        "unclosed-comment": b"<p>before</p><!-- " + b"x" * MB,
        "huge-attribute": page(f'<p title="{"x" * 12 * MB}">text</p>'),
        "many-attributes": endless_html(3_000),
        "entity-bomb": b'<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><p>&b;</p>',
        "unknown-charset": page("text", '<meta charset="klingon">'),
        "other-charset": '<meta charset="utf-8"><p>Grüße aus Köln</p>'.encode("utf-16-le"),
        "character-references": page("&#0;&#x110000;&#xd800;&#99999999999; text"),
        "scripts-only": page("<script>document.write('x')</script>"),
    }


def _harmful_parquet() -> dict[str, bytes]:
    not_utf8 = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    valid = VALID["parquet"][1]
    return {
        "huge-footer": valid[:-8] + b"\xff\xff\xff\x7fPAR1",
        "no-footer": b"PAR1" + bytes(100) + b"PAR1",
        "marks-only": b"PAR1PAR1",
        "no-text-column": parquet([{"body": "text"}]),
        "text-of-numbers": parquet([{"text": 1}]),
        "no-rows": parquet(text=pa.array([], pa.string())),
        "nulls-only": parquet(text=pa.array([None, None], pa.string())),
        "repeated-value": parquet(text=pa.array(["x" * 1000]).take(pa.array([0] * 100_000))),
        "many-columns": parquet(text=["x"], **{f"c{number}": [number] for number in range(3_000)}),
        "nested": parquet([{"text": "x", "meta": {"a": [{"b": [1, 2]}]}}]),
        "invalid-utf8": parquet(text=not_utf8),
    }


def _harmful_jsonl() -> dict[str, bytes]:
    def nested(depth: int) -> bytes:
        return b'{"text": "fine", "meta": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"

    return {
        "deep": b"\n".join([b'{"text": "first"}', *map(nested, (100, 330, 480, 700, 1000, 100_000)), b'{"text": "last"}']),
        "deep-arrays": b'{"text": ' + b"[" * 100_000,
        "huge-integer": b'{"text": "x", "n": ' + b"9" * 100_000 + b"}",
        "surrogates": b'{"text": "\\ud800 and \\udfff"}\n{"text": "\\ud83d\\ude00"}',
        "not-numbers": b'{"text": "x", "n": NaN, "m": -Infinity, "l": 1e999}',
        "repeated-keys": b'{"text": "a", "text": "b"}',
        "nulls": b'{"text": "a\\u0000b"}\n{"text": "a\x00b"}',
        "unterminated": b'{"text": "' + b"x" * MB,
        "array": b'[{"text": "a"}]',
        "utf-16": '{"text": "ä"}\n{"text": "ö"}'.encode("utf-16"),
        "no-line-ends": b'{"text": "a"}' * 2_000,
        "brackets": b"}{" * 20_000,
    }


def _harmful_text() -> dict[str, bytes]:
    text = "Größe, naïve, coûte; Привет, мир; 河流与港口; שלום. " * 20
    encodings = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-7", "gb18030", "utf-8-sig", "utf-32")
    others = {
        "shift_jis": "河流と港口。" * 40,
        "koi8-r": "Привет, мир. " * 40,
        "cp037": "Rivers and harbours. " * 40,
        "cp1255": "שלום עולם. " * 40,
    }
    return {
        **{f"in-{encoding}": text.encode(encoding) for encoding in encodings},
        **{f"in-{encoding}": (words * 40).encode(encoding) for encoding, words in others.items()},
        "two-marks": b"\xef\xbb\xbf\xff\xfe" + text.encode("utf-16-le"),
        "two-encodings": text.encode() + text.encode("utf-16-le") + TEXT.encode("cp037"),
        "control-characters": bytes(range(1, 32)) * 300,
        "terminal": b"\x1b[31mred\x1b[0m plain line\n" * 500,
        "high-bytes": b"\xff" * 5_000,
        "overlong": b"\xc0\xaf\xe0\x80\xaf" * 1_000,
        "combining-marks": quadratic_text(4_000),
        "one-line": b"word " * 200_000,
        "private-and-unassigned": ("\ue000\U000e0001\ufffe\u0378" * 500).encode(),
    }


def _harmful_packed() -> Iterator[tuple[str, str, str, bytes]]:
    text = TEXT.encode()
    bomb = gzipped(bytes(BOMB))
    frame = bytearray(zstandard.compress(text))
    yield "gzip", "txt.gz", "bomb", bomb
    yield "gzip", "txt.gz", "bomb-of-members", gzipped(b"x" * MB) * 40
    yield "gzip", "txt.gz.gz", "twice", gzipped(gzipped(text))
    yield "gzip", "gz", "bare", gzipped(text)
    yield "gzip", "txt.gz", "rubbish-after", gzipped(text) + b"rubbish" * 100
    yield "gzip", "txt.gz", "huge-name", b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 4 * MB
    yield "gzip", "docx.gz", "docx-bomb", gzipped(docx("<w:p/>", **{"word/x.bin": bytes(BOMB)}))
    yield "gzip", "pdf.gz", "pdf-cut", gzipped(VALID["pdf"][1][:2_000])
    yield "zstd", "txt.zst", "bomb", zstandard.compress(bytes(BOMB))
    yield "zstd", "txt.zst", "huge-window", bytes(frame[:4]) + b"\x00\xf8" + bytes(frame[6:])
    yield "zstd", "txt.zst", "huge-content-size", bytes(frame[:4]) + b"\xe0" + b"\xff" * 8 + bytes(frame[7:])
    yield "zstd", "txt.zst", "empty-frame", zstandard.compress(b"")
    yield "zstd", "txt.zst", "is-gzip", gzipped(text)
    yield "zstd", "jsonl.zst", "row-bomb", zstandard.compress(b'{"text": "x"}\n' * 20_000)
