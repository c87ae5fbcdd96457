"""CSV files and spreadsheets: cells, quoting, what is a document. Run: pytest tests/unit/corpus/test_table_files.py"""

from __future__ import annotations

import csv
from datetime import date, datetime, time, timedelta
from io import BytesIO

import pytest
from openpyxl import Workbook
from openpyxl.comments import Comment

from lloco_core.corpus.formats.number_format import shown
from lloco_core.types import Rejection
from tests.harmful_files import zipped
from tests.office_packages import rels, row, xlsx, xlsx_parts


def saved(build) -> bytes:
    book, data = Workbook(), BytesIO()
    build(book)
    book.save(data)
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.csv", b'name,note\r\nrope,"thick, tarred"\r\n', "name\tnote\nrope\tthick, tarred"),
        ("a.csv", b"name;price\nrope;4,50\nsail;12,00\n", "name\tprice\nrope\t4,50\nsail\t12,00"),
        ("a.csv", b"a|b\n1,5|2\n", "a\tb\n1,5\t2"),
        ("a.tsv", b"a\tb\n1, 2\tx; y; z\n", "a\tb\n1, 2\tx; y; z"),
        ("a.csv", b'a,b\n"two\nlines","say ""hi"""\n', 'a\tb\ntwo lines\tsay "hi"'),
        ("a.csv", b'a,b\n"say \\"hi\\", then",2\n', 'a\tb\nsay "hi", then\t2'),
        ("a.tsv", b'a\tb\n5" pipe\t"x\nlast\t1\n', 'a\tb\n5" pipe\t"x\nlast\t1'),
        ("a.csv", b"sep=;\r\na;b\r\n1;2\r\n", "a\tb\n1\t2"),
        ("a.csv", b"\xef\xbb\xbfa,b\n1,2\n", "a\tb\n1\t2"),
        ("a.csv", "a;b\nžluť;kůň\n".encode("utf-16"), "a\tb\nžluť\tkůň"),
        ("a.csv", b"words\nOne, two, three.\nFour, five.\n", "words\nOne, two, three.\nFour, five."),
        ("a.csv", b"a,b,c\n1\n\n1,2,3,4\n", "a\tb\tc\n1\n1\t2\t3\t4"),
        ("a.csv", b"a,b\r1,2\r", "a\tb\n1\t2"),
        ("a.csv", b"a,b\n" + b"1,2\n" * 99 + b"x\0,3\n", "a\tb\n" + "1\t2\n" * 99 + "x\t3"),
        ("a.csv", b'a,b\n"' + b"x" * 300_000 + b'",2\n', "a\tb\n" + "x" * 300_000 + "\t2"),
    ],
)
def test_a_table_without_a_text_column_is_one_document(parse, name, data, text):
    (document,) = parse(name, data)
    assert (document.text, document.media_type) == (text, "text/csv")


def test_a_table_with_a_text_column_holds_a_document_per_row(parse):
    data = b'text;group;id\n"First\nline";a;1\nSecond;b;2\nThird;c;3;4\n;d;5\n'
    first, second, long, empty = parse("a.csv", data)
    assert (first.text, first.group, first.uri) == ("First\nline", "a", "file:///corpus/a.csv#row-0")
    assert (second.text, second.metadata) == ("Second", {"group": "b", "id": "2"})
    assert (long.code, empty.code, empty.uri) == ("row_malformed", "row_without_text", "file:///corpus/a.csv#row-3")
    assert [found.uri.rpartition("#")[2] for found in parse("a.csv", data, id_field="id")[:2]] == ["1", "2"]
    assert parse("a.csv", b"body,x\nWords,1\n", text_field="body")[0].text == "Words"


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (45291.0, "General", "45291"),
        (0.1 + 0.2, "General", "0.3"),
        (1e20, "General", "1e+20"),
        (0.256, "0%", "26%"),
        (0.256, "0.0%", "25.6%"),
        (1234.5, "#,##0.00", "1,234.50"),
        (-1234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"),
        (-3, "0.0", "-3.0"),
        (42, "00000", "00042"),
        (7, '0 "pieces"', "7 pieces"),
        (9.5, "[$€-407] #,##0.00", "€ 9.50"),
        (9.5, '#,##0.00\\ "Kč"', "9.50 Kč"),
        (1.5, "0.##", "1.5"),
        (2500000, "0.0,,", "2.5"),
        (0.5, "# ?/?", "0.5"),
        (12000, "0.00E+00", "12000"),
        (True, "General", "TRUE"),
        (datetime(2024, 1, 31), "d/m/yy", "2024-01-31"),
        (datetime(2024, 1, 31, 8, 5), "d/m/yy h:mm", "2024-01-31 08:05"),
        (date(2024, 1, 31), "d", "2024-01-31"),
        (time(8, 5), "h:mm", "08:05"),
        (timedelta(hours=30, minutes=5), "[h]:mm", "30:05"),
        (None, "General", ""),
    ],
)
def test_numbers_are_written_as_the_sheet_shows_them(value, number_format, text):
    assert shown(value, number_format) == text


def test_sheets_have_names_and_what_lies_over_the_cells(parse):
    def build(book):
        book.active.title = "Wares"
        book.active.append(["rope", 4, date(2024, 1, 31)])
        book.active.append(["Both quays"])
        book.active.merge_cells("A2:C2")
        book.active["A1"].comment = Comment("checked twice", "ada")
        book.active.row_dimensions[2].hidden = True
        book.create_sheet("Empty")
        other = book.create_sheet("Kept aside")
        other["C3"] = "deep\ndown"
        other.sheet_state = "hidden"
        book.properties.title = "Stock"

    (document,) = parse("a.xlsx", saved(build))
    assert document.text == "Wares\nrope\t4\t2024-01-31\nBoth quays\nchecked twice\n\nKept aside\n\t\tdeep down"
    assert document.title == "Stock"


def test_a_sheet_that_only_a_program_shows_is_left_out(parse):
    assert parse("a.xlsx", xlsx(row(1, "seen"), row(1, "secret"), states=("visible", "veryHidden")))[0].text == "S1\nseen"


def test_a_workbook_with_a_text_column_loses_no_sheet(parse):
    data = xlsx(row(1, "text", "kind") + row(2, "First", "x") + row(3, "Second", "y"), row(1, "only", "notes"))
    first, second, notes = parse("a.xlsx", data)
    assert [found.uri.rpartition("#")[2] for found in (first, second, notes)] == ["row-S1-0", "row-S1-1", "row-S2"]
    assert (first.text, first.metadata) == ("First", {"sheet": "S1", "kind": "x"})
    assert notes.text == "only\tnotes"


def test_the_empty_area_behind_the_cells_costs_nothing(parse):
    far = xlsx_parts(row(1, "first") + row(1_048_576, "last"))
    sheet = str(far["xl/worksheets/sheet1.xml"]).replace("<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>')
    (document,) = parse("a.xlsx", zipped({**far, "xl/worksheets/sheet1.xml": sheet}))
    assert document.text == "S1\nfirst\nlast"


def test_few_strings_in_many_cells_are_a_bomb(parse):
    parts = xlsx_parts("".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 600)))
    parts["xl/_rels/workbook.xml.rels"] = rels(r1=("worksheet", "worksheets/sheet1.xml"), r2=("sharedStrings", "sharedStrings.xml"))
    strings = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{strings}"><si><t>{"x" * 10_000}</t></si></sst>'
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    override = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{types}"/></Types>'
    parts["[Content_Types].xml"] = str(parts["[Content_Types].xml"]).replace("</Types>", override)
    assert parse("a.xlsx", zipped(parts), max_bytes=3_000_000)[0].code == "too_large_unpacked"
    assert len(parse("a.xlsx", zipped(parts))[0].text) > 5_900_000


@pytest.mark.parametrize("styles", ["<styleSheet/>", "<styleSheet xmlns='x'><fills><fill><what/></fill></fills></styleSheet>"])
def test_styles_that_openpyxl_refuses_do_not_cost_the_text(parse, styles):
    parts = xlsx_parts(row(1, "rope", "4"))
    parts["xl/_rels/workbook.xml.rels"] = rels(r1=("worksheet", "worksheets/sheet1.xml"), r2=("styles", "styles.xml"))
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"
    override = f'<Override PartName="/xl/styles.xml" ContentType="{kind}"/></Types>'
    parts |= {"xl/styles.xml": styles, "[Content_Types].xml": str(parts["[Content_Types].xml"]).replace("</Types>", override)}
    assert parse("a.xlsx", zipped(parts))[0].text == "S1\nrope\t4"


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.xlsx", b"PK\x03\x04 and no more", "file_damaged"),
        ("a.xlsx", xlsx(row(1, "x"))[:-200], "file_damaged"),
        ("a.xlsx", zipped({"other.xml": "<a/>"}), "file_damaged"),
        ("a.xlsx", xlsx(""), "empty"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "EncryptedPackage".encode("utf-16-le"), "file_encrypted"),
        ("a.xlsx", zipped(xlsx_parts(row(1, "x" * 2**21))), "too_large_unpacked"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000), "file_damaged"),
        ("a.csv", b"\x00\x01\x02" * 50, "binary"),
        ("a.csv", b"\n\n , \n", "empty"),
    ],
)
def test_what_is_no_table_is_one_rejection(parse, name, data, code):
    (rejection,) = parse(name, data, max_bytes=2**20)
    assert isinstance(rejection, Rejection)
    assert rejection.code == code
    assert ";" in rejection.message


def test_an_open_document_spreadsheet(parse):
    spaces = "".join(f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text"))
    cells = '<table:table-cell office:value-type="string"><text:p>rope</text:p></table:table-cell>'
    cells += '<table:table-cell office:value-type="float" office:value="4"><text:p>4</text:p></table:table-cell>'
    cells += '<table:table-cell table:number-columns-repeated="16000"/>'
    empty = '<table:table-row table:number-rows-repeated="1048575"><table:table-cell/></table:table-row>'
    rows = f"<table:table-row>{cells}</table:table-row>{empty}"
    body = f'<office:body><office:spreadsheet><table:table table:name="Wares">{rows}</table:table></office:spreadsheet></office:body>'
    content = f"<office:document-content{spaces}>{body}</office:document-content>"
    data = zipped({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": content, "META-INF/manifest.xml": "<m/>"})
    for name in ("a.ods", "a.xls", "a.doc"):
        assert parse(name, data)[0].text == "Wares\nrope\t4"


def test_reading_a_small_table_bounds_no_other_reader(parse):
    before = csv.field_size_limit()
    parse("small.csv", b"a,b\n1,2\n")
    assert csv.field_size_limit() >= before
