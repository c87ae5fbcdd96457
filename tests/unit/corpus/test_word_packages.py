"""Word packages as programs write them: what Word opens is read."""

import struct
from io import BytesIO
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import pytest

from lloco_core.corpus.formats.word import read_docx
from lloco_core.corpus.reasons import Rejected
from tests.harmful_files import docx, zipped
from tests.word_files import R, W, paragraph, relationships, word_file, word_parts

BODY = paragraph("Words of the document")
WORDS = "Words of the document"


def read(data, max_bytes=2**25):
    return read_docx(data, max_bytes)


def renamed(change, parts=None):
    return zipped({change(name): data for name, data in (parts or word_parts(BODY)).items()})


def changed(**parts):
    """`root`, `types`, `links`, `document` replaced; None removes a part."""
    names = {
        "root": "_rels/.rels",
        "types": "[Content_Types].xml",
        "links": "word/_rels/document.xml.rels",
        "document": "word/document.xml",
    }
    new = word_parts(BODY) | {names[key]: data for key, data in parts.items()}
    return zipped({name: data for name, data in new.items() if data is not None})


def elsewhere(target, name, kinds=R):
    parts = word_parts(BODY)
    document = parts.pop("word/document.xml")
    parts.pop("word/_rels/document.xml.rels")
    return zipped({**parts, "_rels/.rels": relationships({"a": ("officeDocument", target)}, kinds), name: document})


def strict(data):
    data = data.replace(W, "http://purl.oclc.org/ooxml/wordprocessingml/main").replace(
        R, "http://purl.oclc.org/ooxml/officeDocument/relationships"
    )
    return data.replace("http://schemas.openxmlformats.org/officeDocument/2006/math", "http://purl.oclc.org/ooxml/officeDocument/math")


TYPES = word_parts(BODY)["[Content_Types].xml"]
MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
PROPERTIES = relationships({"r1": ("officeDocument", "word/document.xml"), "c": ("metadata/core-properties", "docProps/core.xml")})
READ = {
    "dangling relationships": changed(
        links=relationships({"a": ("image", "gone.png"), "b": ("styles", "gone.xml"), "c": ("theme", "NULL")})
    ),
    "a dangling relationship of the package": changed(
        root=relationships({"a": ("core-properties", "docProps/core.xml"), "r1": ("officeDocument", "word/document.xml")})
    ),
    "relationships without ids, types, and targets": changed(
        links='<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship/><x/></Relationships>'
    ),
    "no relationships of the document": changed(links=None),
    "no relationships of the package": changed(root=None),
    "no content types": changed(types=None),
    "macros": changed(types=TYPES.replace(MAIN, "application/vnd.ms-word.document.macroEnabled.main+xml")),
    "template": changed(types=TYPES.replace("document.main+xml", "template.main+xml")),
    "wrong content type": changed(types=TYPES.replace(MAIN, "application/xml")),
    "another name of the document": elsewhere("word/document2.xml", "word/document2.xml"),
    "another folder": elsewhere("content/text.xml", "content/text.xml"),
    "absolute target": elsewhere("/word/document.xml", "word/document.xml"),
    "relative target": elsewhere("./word/../word/document.xml", "word/document.xml"),
    "backslashes in the target": elsewhere("word\\document.xml", "word/document.xml"),
    "target in percent": elsewhere("word/my%20document.xml", "word/my document.xml"),
    "other letters in the target": elsewhere("Word/Document.XML", "word/document.xml"),
    "document in the root": elsewhere("document.xml", "document.xml"),
    "backslashes in the names": renamed(lambda name: name.replace("/", "\\")),
    "leading slashes": renamed(lambda name: f"/{name}"),
    "dots before the names": renamed(lambda name: f"./{name}"),
    "capital letters": renamed(str.upper),
    "strict": zipped({name: strict(data) for name, data in word_parts(BODY).items()}),
    "stored": zipped(word_parts(BODY), ZIP_STORED),
    "bytes before": b"#!/bin/junk\n" * 7 + word_file(BODY),
    "bytes behind": word_file(BODY) + bytes(500),
    "UTF-16": changed(document=word_parts(BODY)["word/document.xml"].replace("UTF-8", "UTF-16").encode("utf-16")),
    "byte order mark": changed(document=word_parts(BODY)["word/document.xml"].encode("utf-8-sig")),
    "comments and instructions": changed(document=word_parts(BODY)["word/document.xml"].replace(" of ", " <!-- x -->of<?x y?> ")),
    "a damaged picture": word_file(BODY, {"media/image1.png": b"no picture"}, {"i": ("image", "media/image1.png")}),
    "damaged properties": zipped({**word_parts(BODY), "_rels/.rels": PROPERTIES, "docProps/core.xml": b"not xml"}),
}


@pytest.mark.parametrize("kind", READ)
def test_packages_that_word_opens_are_read(kind):
    assert read(READ[kind]).text == WORDS


def test_the_kinds_of_packages_reach_all_parts():
    """Notes and lists by relationships as loose as that of the document."""
    notes = f"<w:footnote w:id='1'>{paragraph('Note')}</w:footnote>"
    levels = "<w:abstractNum w:abstractNumId='0'><w:lvl w:ilvl='0'><w:start w:val='1'/><w:lvlText w:val='%1.'/></w:lvl></w:abstractNum>"
    numbering = f"{levels}<w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num>"
    body = paragraph("<w:r><w:t>a</w:t><w:footnoteReference w:id='1'/></w:r>", "<w:numPr><w:numId w:val='1'/></w:numPr>")
    parts = word_parts(body, footnotes=notes, numbering=numbering)
    assert read(zipped(parts)).text == "1. a[1]\n[1] Note"
    assert read(zipped({name: strict(data) for name, data in parts.items()})).text == "1. a[1]\n[1] Note"
    assert read(renamed(lambda name: name.replace("/", "\\").title(), parts)).text == "1. a[1]\n[1] Note"
    links = parts["word/_rels/document.xml.rels"]
    for prefix in ("/word/", "../word/", ".\\"):
        loose = links.replace('Target="', f'Target="{prefix}')
        assert read(zipped({**parts, "word/_rels/document.xml.rels": loose})).text == "1. a[1]\n[1] Note"


class Pipe(BytesIO):
    """What cannot be sought: zipfile then writes sizes behind the data."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise OSError

    def tell(self):
        raise OSError


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
def test_data_descriptors_and_other_packings(method):
    saved = Pipe()
    with ZipFile(saved, "w", method) as archive:
        for name, data in word_parts(BODY).items():
            archive.writestr(name, data)
    data = saved.getvalue()
    assert struct.unpack("<H", data[6:8])[0] & 8
    assert read(data).text == WORDS


def test_titles():
    core = '<cp:coreProperties xmlns:cp="x" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title></cp:coreProperties>'
    parts = word_parts(BODY) | {"_rels/.rels": PROPERTIES, "docProps/core.xml": core.format("Price list")}
    assert read(zipped(parts)).title == "Price list"
    assert read(zipped({**parts, "docProps/core.xml": core.format("")})).title is None
    assert read(word_file(BODY)).title is None


def locked(data):
    directory = data.rindex(b"PK\x01\x02" + data[data.index(b"PK\x01\x02") + 4 : data.index(b"PK\x01\x02") + 6])
    position = 0
    while (position := data.find(b"PK\x01\x02", position)) >= 0:
        data = data[: position + 8] + b"\x01\x00" + data[position + 10 :]
        position += 4
    assert directory
    return data


DAMAGED = {
    "a table": zipped({**word_parts(BODY), "word/document.xml": f'<x:workbook xmlns:x="{W[:-4]}x"/>'}),
    "other XML": changed(document="<a/>"),
    "no document": changed(document=None),
    "no XML": changed(document="words"),
    "a document that ends": changed(document=word_parts(BODY)["word/document.xml"][:-20]),
    "damaged styles": zipped({**word_parts(BODY, styles=""), "word/styles.xml": "<w:styles"}),
    "damaged notes": zipped({**word_parts(BODY, footnotes=""), "word/footnotes.xml": b""}),
    "damaged lists": zipped({**word_parts(BODY, numbering=""), "word/numbering.xml": b"\xff\xfe"}),
    "damaged relationships": changed(links="<Relationships"),
    "cut": word_file(BODY)[:-60],
    "locked": locked(word_file(BODY)),
    "no zip": b"PK\x03\x04 no zip",
    "an old document": b"\xd0\xcf\x11\xe0" + bytes(600),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_word_refuses_is_rejected_with_the_next_step(kind):
    with pytest.raises(Rejected) as rejected:
        read(DAMAGED[kind])
    assert (rejected.value.reason, ";" in rejected.value.message) == ("docx_damaged", True)


def test_limits_hold():
    with pytest.raises(Rejected, match=r"its parts unpack to .* more than 5000") as rejected:
        read(word_file(paragraph("x" * 6000)), 5000)
    assert rejected.value.reason == "too_large_unpacked"
    with pytest.raises(Rejected, match="more than"):
        read(word_file(BODY, {"media/image1.png": bytes(6000)}), 5000)


def test_entities_are_not_expanded():
    data = docx("<w:p><w:r><w:t>a &e; b</w:t></w:r></w:p>", '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/hostname">]>')
    with pytest.raises(Rejected, match="declares a document type") as rejected:
        read(data)
    assert rejected.value.reason == "docx_damaged"
