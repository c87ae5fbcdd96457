"""Small Office packages written part by part, for tests of what libraries cannot write."""

from __future__ import annotations

from tests.harmful_files import OFFICE, PACKAGE, zipped

SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_SPACES = f'xmlns="{SHEETS}" xmlns:r="{OFFICE}"'
_SLIDE_SPACES = f'xmlns:p="{SLIDES}" xmlns:a="{DRAWING}" xmlns:r="{OFFICE}"'
_TYPES = f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
_TYPES += 'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
_TYPES += '<Default Extension="xml" ContentType="application/xml"/>{}</Types>'
_SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def rels(**targets: tuple[str, str]) -> str:
    """Relationships by id: the last word of their type and their target."""
    items = "".join(f'<Relationship Id="{name}" Type="{OFFICE}/{kind}" Target="{target}"/>' for name, (kind, target) in targets.items())
    return f'<Relationships xmlns="{PACKAGE}/relationships">{items}</Relationships>'


def xlsx_parts(*sheets: str, states: tuple[str, ...] = ()) -> dict[str, str | bytes]:
    """A workbook of sheets given as rows of XML, named S1, S2, and so on."""
    listed, types, targets = "", "", {}
    parts: dict[str, str | bytes] = {}
    for number, rows in enumerate(sheets, start=1):
        state = states[number - 1] if states else "visible"
        listed += f'<sheet name="S{number}" sheetId="{number}" state="{state}" r:id="r{number}"/>'
        types += f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_SHEET_TYPE}.worksheet+xml"/>'
        targets[f"r{number}"] = ("worksheet", f"worksheets/sheet{number}.xml")
        parts[f"xl/worksheets/sheet{number}.xml"] = f"<worksheet {_SPACES}><sheetData>{rows}</sheetData></worksheet>"
    types += f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/>'
    return {
        "[Content_Types].xml": _TYPES.format(types),
        "_rels/.rels": rels(r1=("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f"<workbook {_SPACES}><sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": rels(**targets),
        **parts,
    }


def row(number: int, *cells: str, first: str = "A") -> str:
    """A row of text cells."""
    letters = [chr(ord(first) + place) for place in range(len(cells))]
    inside = "".join(
        f'<c r="{letter}{number}" t="inlineStr"><is><t>{cell}</t></is></c>' for letter, cell in zip(letters, cells, strict=True)
    )
    return f'<row r="{number}">{inside}</row>'


def shape(*paragraphs: str, placeholder: str = "") -> str:
    """A shape with text."""
    lines = "".join(f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in paragraphs)
    kind = f'<p:nvPr><p:ph type="{placeholder}"/></p:nvPr>' if placeholder else "<p:nvPr/>"
    return f"<p:sp><p:nvSpPr>{kind}</p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>"


def pptx_parts(*slides: str, notes: dict[int, str] | None = None) -> dict[str, str | bytes]:
    """A presentation of slides given as shapes, with notes by number of the slide."""
    targets = {f"r{number}": ("slide", f"slides/slide{number}.xml") for number in range(1, len(slides) + 1)}
    listed = "".join(f'<p:sldId id="{255 + number}" r:id="r{number}"/>' for number in range(1, len(slides) + 1))
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": _TYPES.format(""),
        "_rels/.rels": rels(r1=("officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f"<p:presentation {_SLIDE_SPACES}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": rels(**targets),
    }
    for number, shapes in enumerate(slides, start=1):
        parts[f"ppt/slides/slide{number}.xml"] = f"<p:sld {_SLIDE_SPACES}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
    for number, shapes in (notes or {}).items():
        parts[f"ppt/slides/_rels/slide{number}.xml.rels"] = rels(n=("notesSlide", f"../notesSlides/notesSlide{number}.xml"))
        parts[f"ppt/notesSlides/notesSlide{number}.xml"] = (
            f"<p:notes {_SLIDE_SPACES}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:notes>"
        )
    return parts


def xlsx(*sheets: str, states: tuple[str, ...] = ()) -> bytes:
    """See `xlsx_parts`."""
    return zipped(xlsx_parts(*sheets, states=states))


def pptx(*slides: str, notes: dict[int, str] | None = None) -> bytes:
    """See `pptx_parts`."""
    return zipped(pptx_parts(*slides, notes=notes))
