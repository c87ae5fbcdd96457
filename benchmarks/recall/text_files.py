"""Files of text formats: encodings, tables of text, JSON, notebooks, pages."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.recall.cases import LANGUAGES, Case, sentences

_PICTURE = base64.b64encode(bytes(range(256)) * 300).decode()
_ROWS = [("ware", "place", "price"), ("rope", "Norwich; east", "4.50"), ("tar", 'the "Old" yard', "12"), ("sail", "two\nlines", "110.25")]


def text_files() -> Iterator[Case]:
    """All of them."""
    yield from _plain()
    yield from _pages()
    yield from _tables()
    yield from _data()


def _plain() -> Iterator[Case]:
    for language, encoding in (
        ("de", "utf-8-sig"),
        ("fr", "utf-16"),
        ("de", "cp1252"),
        ("ru", "cp1251"),
        ("cs", "cp1250"),
        ("ja", "shift_jis"),
    ):
        text = LANGUAGES[language] * 6
        yield Case(f"{language}-{encoding}.txt", text.encode(encoding), text)
    text = "\n".join(sentences(0, 10))
    yield Case("packed.txt.gz", gzip.compress(text.encode()), text)
    yield Case("table.md", f"# Heading of it\n\n| a | b |\n|---|---|\n| {text[:50]} | x |\n".encode(), f"Heading of it a b {text[:50]} x")


def _page(body: str, head: str = "", encoding: str = "utf-8") -> bytes:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>".encode(encoding, "xmlcharrefreplace")


def _pages() -> Iterator[Case]:
    lines = sentences(0, 8)
    paragraphs = "".join(f"<p>{line}</p>" for line in lines)
    text = "\n".join(lines)
    yield Case("article.html", _page(f"<article><h1>Harbour news</h1>{paragraphs}</article>"), f"Harbour news {text}")
    picture = f'<img src="data:image/png;base64,{_PICTURE}">'
    yield Case("picture.html", _page(f"<article>{paragraphs}{picture}<p>{LANGUAGES['de']}</p></article>"), text + LANGUAGES["de"])
    rows = "".join(f"<tr><td>{line}</td><td>{number}00</td></tr>" for number, line in enumerate(lines, start=1))
    yield Case("table.html", _page(f"<h2>Prices</h2><table>{rows}</table>"), "Prices " + text + " ".join(f" {n}00" for n in range(1, 9)))
    lists = "".join(f"<dt>{line}</dt><dd>{other}</dd>" for line, other in zip(lines[::2], lines[1::2], strict=True))
    yield Case(
        "lists.html",
        _page(f"<dl>{lists}</dl><details><summary>More</summary>{LANGUAGES['fr']}</details>"),
        f"{text} More {LANGUAGES['fr']}",
    )
    for language, encoding, label in (("ru", "cp1251", "windows-1251"), ("de", "cp1252", "iso-8859-1"), ("cs", "iso8859-2", "iso-8859-2")):
        body = (
            f"<p>{LANGUAGES[language]}</p><p>“{lines[0]}”</p>"
            if label == "iso-8859-1"
            else f"<p>{LANGUAGES[language]}</p><p>{lines[0]}</p>"
        )
        yield Case(f"{label}.html", _page(body, f'<meta charset="{label}">', encoding), f"{LANGUAGES[language]} {lines[0]}")


def _tables() -> Iterator[Case]:
    text = " ".join(cell for row in _ROWS for cell in row)
    for name, delimiter in (("comma.csv", ","), ("semicolon.csv", ";"), ("bar.csv", "|"), ("tab.tsv", "\t")):
        yield Case(name, _separated(delimiter).encode(), text)
    yield Case("excel.csv", b"\xef\xbb\xbfsep=;\r\n" + _separated(";").encode(), text, "sep")
    yield Case("unicode-text.tsv", _separated("\t").encode("utf-16"), text)
    rows = [{"text": line, "place": f"quay {number}"} for number, line in enumerate(sentences(0, 6))]
    held = " ".join(f"{row['text']} {row['place']}" for row in rows)
    records = "text,place\n" + "".join(f'"{row["text"]}",{row["place"]}\n' for row in rows)
    yield Case("records.csv", records.encode(), held, "text place " * 7)
    yield Case("records.jsonl", "\n".join(map(json.dumps, rows)).encode(), held, "text place " * 7)
    yield Case("records.json", json.dumps({"data": rows, "count": 6}).encode(), held, "data count 6 " + "text place " * 7)
    saved = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), saved)
    yield Case("records.parquet", saved.getvalue(), held, "text place " * 7)


def _separated(delimiter: str) -> str:
    quoted = (['"' + cell.replace('"', '""') + '"' for cell in row] for row in _ROWS)
    return "".join(delimiter.join(row) + "\r\n" for row in quoted)


def _data() -> Iterator[Case]:
    data = {"title": "Tide table", "stations": [{"name": line, "depth": 4.5} for line in sentences(0, 4)], "open": True, "closed": None}
    text = "title Tide table stations open true" + " ".join(f" name {line} depth 4.5" for line in sentences(0, 4))
    yield Case("tides.json", json.dumps(data, indent=1).encode(), text, "closed null")
    yield Case("czech.json", json.dumps({"zpráva": LANGUAGES["cs"]}).encode(), f"zpráva {LANGUAGES['cs']}")
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [f"# Measurements\n{line}" for line in sentences(0, 2)]},
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": 1,
            "source": ["print('depth')\n", "mean"],
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["depth of seven metres\n"]},
                {"output_type": "display_data", "metadata": {}, "data": {"image/png": _PICTURE, "text/plain": ["a figure"]}},
            ],
        },
        {"cell_type": "markdown", "metadata": {}, "source": LANGUAGES["el"]},
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    text = (
        " ".join(f"Measurements {line}" for line in sentences(0, 2)) + " print depth mean depth of seven metres a figure " + LANGUAGES["el"]
    )
    yield Case("measured.ipynb", json.dumps(notebook).encode(), text, "python")
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": "speed = 3", "outputs": [{"text": "three knots"}]}]}], "nbformat": 3}
    yield Case("old.ipynb", json.dumps(old | {"metadata": {}, "nbformat_minor": 0}).encode(), "speed 3 three knots", "python")
