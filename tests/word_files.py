"""Word files of raw XML, part by part, so that a test can hold whatever Word, or another program, writes."""

from __future__ import annotations

from tests.harmful_files import zipped

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "w": W,
        "r": R,
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "dgm": "http://schemas.openxmlformats.org/drawingml/2006/diagram",
        "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
        "wpg": "http://schemas.microsoft.com/office/word/2010/wordprocessingGroup",
        "w14": "http://schemas.microsoft.com/office/word/2010/wordml",
        "w16se": "http://schemas.microsoft.com/office/word/2015/wordml/symex",
        "v": "urn:schemas-microsoft-com:vml",
        "future": "http://example.org/of/a/later/version",
    }.items()
)
TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
ROOT = {"r1": ("officeDocument", "word/document.xml")}
ELEMENTS = {
    "styles": "w:styles",
    "numbering": "w:numbering",
    "footnotes": "w:footnotes",
    "endnotes": "w:endnotes",
    "settings": "w:settings",
}


def run(text: str, properties: str = "") -> str:
    """A run with its text as it is."""
    return f'<w:r>{f"<w:rPr>{properties}</w:rPr>" if properties else ""}<w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(content: str, properties: str = "") -> str:
    """A paragraph of runs, or of text where there is no element in it."""
    inner = content if "<" in content else run(content)
    return f"<w:p>{f'<w:pPr>{properties}</w:pPr>' if properties else ''}{inner}</w:p>"


def part(element: str, content: str) -> str:
    return f"<?xml version='1.0' encoding='UTF-8' standalone='yes'?><{element} {SPACES}>{content}</{element}>"


def relationships(items: dict[str, tuple[str, str]], kinds: str = R) -> str:
    """Relationships by id: kind, target; a target with `://` lies outside."""
    found = ""
    for key, (kind, target) in items.items():
        mode = ' TargetMode="External"' if "://" in target else ""
        found += f'<Relationship Id="{key}" Type="{kinds}/{kind}" Target="{target}"{mode}/>'
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{found}</Relationships>'


def word_parts(
    body: str, files: dict[str, str | bytes] | None = None, more: dict[str, tuple[str, str]] | None = None, **parts: str
) -> dict:
    """The parts of a file: the body, parts by the kind of `ELEMENTS`, other `files` below word/ with `more` relationships to them."""
    links = {f"k{kind}": (kind, f"{kind}.xml") for kind in parts} | (more or {})
    return {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": relationships(ROOT),
        "word/document.xml": part("w:document", f"<w:body>{body}</w:body>"),
        "word/_rels/document.xml.rels": relationships(links),
        **{f"word/{kind}.xml": part(ELEMENTS[kind], content) for kind, content in parts.items()},
        **{f"word/{name}": data for name, data in (files or {}).items()},
    }


def word_file(
    body: str, files: dict[str, str | bytes] | None = None, more: dict[str, tuple[str, str]] | None = None, **parts: str
) -> bytes:
    """The file of `word_parts`."""
    return zipped(word_parts(body, files, more, **parts))
