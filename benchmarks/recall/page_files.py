"""PDF and Word files: pages, form fields and notes; paragraphs, tables, notes, boxes, and revisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from benchmarks.recall.cases import LANGUAGES, Case, sentences
from lloco_core.corpus.demo_pdf import LINES_PER_PAGE, text_pdf

_BOX = (
    '<w:r xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:v="urn:schemas-microsoft-com:vml"><w:pict><v:shape>'
    "<v:textbox><w:txbxContent><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:txbxContent></v:textbox></v:shape></w:pict></w:r>"
)


def page_files() -> Iterator[Case]:
    """All of them."""
    yield from _pdfs()
    yield from _documents()


def _written(change: Callable[[Any], None], lines: list[str]) -> bytes:
    from pypdf import PdfWriter

    writer, saved = PdfWriter(clone_from=BytesIO(text_pdf("\n".join(lines), "Harbour"))), BytesIO()
    change(writer)
    writer.write(saved)
    return saved.getvalue()


def _pdfs() -> Iterator[Case]:
    lines = sentences(0, 8)
    text = " ".join(lines)
    yield Case("lines.pdf", text_pdf("\n".join(lines), "Harbour"), text)
    many = [f"{line} {number}" for number, line in enumerate(sentences(0, 2 * LINES_PER_PAGE + 5))]
    yield Case("pages.pdf", text_pdf("\n".join(many), "Harbour"), " ".join(many))
    yield Case("restricted.pdf", _written(lambda writer: writer.encrypt("", "owner", algorithm="AES-256"), lines), text)
    yield Case("note.pdf", _written(_add_note, lines), f"{text} Paid in full by Ada")
    yield Case("field.pdf", _written(_add_field, lines), f"{text} Lovelace of London")
    yield Case("junk.pdf", b"\r\n" * 40 + text_pdf("\n".join(lines), "Harbour") + b"\0" * 900, text)
    yield Case("rotated.pdf", _written(lambda writer: writer.pages[0].rotate(90), lines), text)


def _add_note(writer: Any) -> None:
    from pypdf.annotations import FreeText

    writer.add_annotation(page_number=0, annotation=FreeText(text="Paid in full by Ada", rect=(50, 50, 300, 90)))


def _add_field(writer: Any) -> None:
    from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, TextStringObject

    field = DictionaryObject({
        NameObject("/Type"): NameObject("/Annot"),
        NameObject("/Subtype"): NameObject("/Widget"),
        NameObject("/FT"): NameObject("/Tx"),
        NameObject("/T"): TextStringObject("surname"),
        NameObject("/V"): TextStringObject("Lovelace of London"),
        NameObject("/Rect"): ArrayObject(map(FloatObject, (50, 50, 300, 90))),
    })  # fmt: skip
    held = writer._add_object(field)
    writer.pages[0][NameObject("/Annots")] = ArrayObject([held])
    writer._root_object[NameObject("/AcroForm")] = DictionaryObject({NameObject("/Fields"): ArrayObject([held])})


def _word(build: Callable[[Any], None]) -> bytes:
    import docx

    document, saved = docx.Document(), BytesIO()
    build(document)
    document.save(saved)
    return saved.getvalue()


def _added(xml: str) -> Callable[[Any], None]:
    """A document of one paragraph with this behind its text."""

    def build(document: Any) -> None:
        from docx.oxml import parse_xml
        from docx.oxml.ns import nsdecls

        paragraph = document.add_paragraph(sentences(0, 1)[0] + " ")
        for element in parse_xml(f"<w:p {nsdecls('w')}>{xml}</w:p>"):
            paragraph._p.append(element)

    return build


def _documents() -> Iterator[Case]:
    lines = sentences(0, 6)
    text = " ".join(lines)

    def paragraphs(document: Any) -> None:
        document.add_heading("Harbour rules")
        for line in [*lines, LANGUAGES["cs"]]:
            document.add_paragraph(line)

    def tables(document: Any) -> None:
        table = document.add_table(rows=3, cols=2)
        for place, line in enumerate(lines):
            table.cell(place // 2, place % 2).text = line
        table.cell(0, 0).add_table(rows=1, cols=1).cell(0, 0).text = "nested words"

    def numbered(document: Any) -> None:
        for line in lines[:3]:
            document.add_paragraph(line, style="List Number")

    yield Case("paragraphs.docx", _word(paragraphs), f"Harbour rules {text} {LANGUAGES['cs']}")
    yield Case("tables.docx", _word(tables), f"{text} nested words")
    yield Case("numbered.docx", _word(numbered), f"1 {lines[0]} 2 {lines[1]} 3 {lines[2]}")
    run = f"<w:r><w:t>{lines[1]}</w:t></w:r>"
    for name, wrapper in (
        ("smart-tag", f'<w:smartTag w:element="place">{run}</w:smartTag>'),
        ("simple-field", f'<w:fldSimple w:instr="AUTHOR">{run}</w:fldSimple>'),
        (
            "inserted",
            f'<w:ins w:id="1" w:author="a">{run}</w:ins><w:del w:id="2" w:author="a"><w:r><w:delText>gone</w:delText></w:r></w:del>',
        ),
        ("custom-xml", f'<w:customXml w:element="x">{run}</w:customXml>'),
        ("moved", f'<w:moveTo w:id="3" w:author="a">{run}</w:moveTo>'),
        ("text-box", _BOX.format(lines[1])),
        ("hidden", f"{run}<w:r><w:rPr><w:vanish/></w:rPr><w:t>secret words</w:t></w:r>"),
    ):
        yield Case(f"{name}.docx", _word(_added(wrapper)), f"{lines[0]} {lines[1]}")
