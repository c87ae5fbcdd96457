"""Presentations and spreadsheets, written with python-pptx and openpyxl, some of them changed below what these can write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from benchmarks.recall.cases import LANGUAGES, Case, sentences

_CALC = "Bookkeeping"


def office_files() -> Iterator[Case]:
    """All of them."""
    yield from _presentations()
    yield from _workbooks()


def rezipped(data: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """The archive with its parts changed."""
    with ZipFile(BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    saved = BytesIO()
    with ZipFile(saved, "w", ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return saved.getvalue()


def _deck(build: Callable[[Any], None], titles: list[str]) -> bytes:
    from pptx import Presentation

    deck = Presentation()
    for title in titles:
        deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = title
    build(deck)
    saved = BytesIO()
    deck.save(saved)
    return saved.getvalue()


def _presentations() -> Iterator[Case]:
    titles = sentences(0, 3)
    text = " ".join(titles)

    def plain(deck: Any) -> None:
        deck.slides[0].notes_slide.notes_text_frame.text = LANGUAGES["de"]
        deck.slides[1]._element.set("show", "0")

    yield Case("notes-and-hidden.pptx", _deck(plain, titles), f"{text} {LANGUAGES['de']}", "Slide number Notes 1 2 3")
    yield Case("table.pptx", _deck(_add_table, titles), f"{text} ware price rope 4.50", "Slide number 1 2 3")
    yield Case("group.pptx", _deck(_add_group, titles), f"{text} {LANGUAGES['ru']} inner box", "Slide number 1 2 3")
    numbers = "4 7 4.0 7.0 1 2 3 Category Slide number Chart"
    yield Case("chart.pptx", _deck(_add_chart, titles), f"{text} Tonnes by quay North South Gravel", numbers)
    yield Case("dangling.pptx", rezipped(_deck(_add_table, titles), _dangle), f"{text} ware price rope 4.50", "Slide number 1 2 3")
    yield Case("smart-art.pptx", rezipped(_deck(_add_chart, titles), _as_diagram), f"{text} Plan Build Ship", numbers)
    yield Case("strict.pptx", rezipped(_deck(_add_table, titles), _strict), f"{text} ware price rope 4.50", "Slide number 1 2 3")


def _add_table(deck: Any) -> None:
    table = deck.slides[1].shapes.add_table(2, 2, 0, 0, 4_000_000, 900_000).table
    for place, word in enumerate(("ware", "price", "rope", "4.50")):
        table.cell(place // 2, place % 2).text = word


def _add_group(deck: Any) -> None:
    group = deck.slides[2].shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 900_000, 900_000).text_frame.text = LANGUAGES["ru"]
    group.shapes.add_group_shape().shapes.add_textbox(0, 0, 900_000, 900_000).text_frame.text = "inner box"


def _add_chart(deck: Any) -> None:
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE

    data = CategoryChartData()
    data.categories = ["North", "South"]
    data.add_series("Gravel", (4, 7))
    chart = deck.slides[0].shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, 3_000_000, 3_000_000, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Tonnes by quay"


def _dangle(parts: dict[str, bytes]) -> None:
    rels = "ppt/slides/_rels/slide1.xml.rels"
    kind = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"
    gone = b'<Relationship Id="rId99" Type="' + kind + b'" Target="../media/gone.png"/></Relationships>'
    parts[rels] = parts[rels].replace(b"</Relationships>", gone)


def _as_diagram(parts: dict[str, bytes]) -> None:
    """The chart's frame points to the data of a SmartArt drawing instead."""
    points = "".join(
        f'<dgm:pt modelId="{word}"><dgm:t><a:bodyPr/><a:p><a:r><a:t>{word}</a:t></a:r></a:p></dgm:t></dgm:pt>' for word in _STEPS
    )
    model = f'<dgm:dataModel xmlns:dgm="{_DIAGRAM}" xmlns:a="{_DRAWING}"><dgm:ptLst>{points}</dgm:ptLst></dgm:dataModel>'
    (chart,) = [name for name in parts if name.startswith("ppt/charts/chart") and name.endswith(".xml")]
    del parts[chart]
    parts["ppt/diagrams/data1.xml"] = model.encode()
    rels, slide, types = "ppt/slides/_rels/slide1.xml.rels", "ppt/slides/slide1.xml", "[Content_Types].xml"
    parts[rels] = (
        parts[rels]
        .replace(b"relationships/chart", b"relationships/diagramData")
        .replace(f"../{chart[4:]}".encode(), b"../diagrams/data1.xml")
    )
    parts[slide] = parts[slide].replace(b"drawingml/2006/chart", b"drawingml/2006/diagram").replace(b"<c:chart ", b"<c:relIds ")
    parts[slide] = (
        parts[slide].replace(b"<c:relIds ", b"<c:relIds r:lo='' ").replace(b"r:id=", b"r:dm=")
        if b"<c:relIds " in parts[slide]
        else parts[slide]
    )
    parts[types] = (
        parts[types].replace(f"/{chart}".encode(), b"/ppt/diagrams/data1.xml").replace(b"drawingml.chart+xml", b"drawingml.diagramData+xml")
    )


_STEPS = ("Plan", "Build", "Ship")
_DIAGRAM, _DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/diagram", "http://schemas.openxmlformats.org/drawingml/2006/main"
_STRICT = {
    b"http://schemas.openxmlformats.org/officeDocument/2006/relationships": b"http://purl.oclc.org/ooxml/officeDocument/relationships",
    b"http://schemas.openxmlformats.org/drawingml/2006/main": b"http://purl.oclc.org/ooxml/drawingml/main",
    b"http://schemas.openxmlformats.org/presentationml/2006/main": b"http://purl.oclc.org/ooxml/presentationml/main",
    b"http://schemas.openxmlformats.org/spreadsheetml/2006/main": b"http://purl.oclc.org/ooxml/spreadsheetml/main",
}
"""Namespaces of the transitional form of the standard, and of the strict one."""


def _strict(parts: dict[str, bytes]) -> None:
    for name, part in parts.items():
        if name.endswith((".xml", ".rels")):
            for transitional, strict in _STRICT.items():
                part = part.replace(transitional, strict)
            parts[name] = part


def _book(build: Callable[[Any], None], sheet: str = _CALC) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = sheet
    build(book)
    saved = BytesIO()
    book.save(saved)
    return saved.getvalue()


def _workbooks() -> Iterator[Case]:
    text = " ".join(sentences(0, 4))
    yield Case(
        "lines.xlsx", _book(lambda book: _fill(book.active, [[line] for line in sentences(0, 4)])), f"{_CALC} {text}", "NaN Unnamed 0 1 2 3"
    )
    shown = f"{_CALC} day 2024-01-31 share 25% price 1,234.50 code 00042 count 45291 met 2023-03-01 14:30 start 08:15"
    yield Case("formats.xlsx", _book(_formats), shown, "NaN Unnamed 00 0 1 2")
    hidden = f"{_CALC} shown Secret {LANGUAGES['cs']} filtered away"
    yield Case("hidden.xlsx", _book(_hidden), hidden, "NaN Unnamed 0 1 2")
    yield Case("merged.xlsx", _book(_merged), f"{_CALC} Wares of both quays rope tar", "NaN Unnamed 0 1 2")
    yield Case("comment.xlsx", _book(_comment), f"{_CALC} rope Checked by the harbour master", "NaN Unnamed 0 1 2 author")
    yield Case("far.xlsx", _book(_far), f"{_CALC} first last", "NaN Unnamed " + " ".join(map(str, range(60))))
    yield Case("formula.xlsx", rezipped(_book(_formula), _cached), f"{_CALC} sum 7 rope and tar", "NaN Unnamed 0 1 2")
    yield Case(
        "strict.xlsx", rezipped(_book(lambda book: _fill(book.active, [["rope", 4]])), _strict), f"{_CALC} rope 4", "NaN Unnamed 0 1 2"
    )
    yield Case("chart.xlsx", _book(_chart), f"{_CALC} North 4 South 7 Tonnes by quay", "NaN Unnamed 0 1 2")
    rows = [["text", "quay"], *([line, f"Q{number}"] for number, line in enumerate(sentences(0, 4)))]
    held = " ".join(f"{line} Q{number} {_CALC}" for number, line in enumerate(sentences(0, 4)))
    yield Case("records.xlsx", _book(lambda book: _fill(book.active, rows)), held, "text quay sheet " * 4)


def _fill(sheet: Any, rows: list[list[Any]]) -> None:
    for row in rows:
        sheet.append(row)


def _formats(book: Any) -> None:
    cells = [("day", date(2024, 1, 31), "d/m/yy"), ("share", 0.25, "0%"), ("price", 1234.5, "#,##0.00"), ("code", 42, "00000")]
    cells += [("count", 45291, "General"), ("met", datetime(2023, 3, 1, 14, 30), "yyyy-mm-dd hh:mm"), ("start", time(8, 15), "hh:mm")]
    for row, (name, value, number_format) in enumerate(cells, start=1):
        book.active.cell(row, 1, name)
        book.active.cell(row, 2, value).number_format = number_format


def _hidden(book: Any) -> None:
    _fill(book.active, [["shown"], ["filtered away"]])
    book.active.row_dimensions[2].hidden = True
    secret = book.create_sheet("Secret")
    secret.append([LANGUAGES["cs"]])
    secret.sheet_state = "hidden"


def _merged(book: Any) -> None:
    _fill(book.active, [["Wares of both quays", None], ["rope", "tar"]])
    book.active.merge_cells("A1:B1")


def _comment(book: Any) -> None:
    from openpyxl.comments import Comment

    book.active["A1"] = "rope"
    book.active["A1"].comment = Comment("Checked by the harbour master", "author")


def _far(book: Any) -> None:
    book.active["A1"] = "first"
    book.active.cell(900, 12, "last")


def _formula(book: Any) -> None:
    _fill(book.active, [["sum", "=3+4"], ['="rope and "&"tar"']])


def _cached(parts: dict[str, bytes]) -> None:
    """Values beside the formulas, as Excel saves them."""
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b"<f>3+4</f><v></v>", b"<f>3+4</f><v>7</v>").replace(b"<f>3+4</f><v/>", b"<f>3+4</f><v>7</v>")
    text = b'<c r="A2" t="str"><f>"rope and "&amp;"tar"</f><v>rope and tar</v></c>'
    start, end = parts[sheet].index(b'<c r="A2"'), parts[sheet].index(b"</c>", parts[sheet].index(b'<c r="A2"')) + 4
    parts[sheet] = parts[sheet][:start] + text + parts[sheet][end:]


def _chart(book: Any) -> None:
    from openpyxl.chart import BarChart, Reference

    _fill(book.active, [["North", 4], ["South", 7]])
    chart = BarChart()
    chart.title = "Tonnes by quay"
    chart.add_data(Reference(book.active, min_col=2, min_row=1, max_row=2))
    book.active.add_chart(chart, "D2")
