"""Presentations: order, tables, groups, notes, diagrams. Run: pytest tests/unit/corpus/test_presentations.py"""

from __future__ import annotations

import pytest

from tests.harmful_files import zipped
from tests.office_packages import DRAWING, pptx, pptx_parts, rels, shape

TABLE = (
    "<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tr><a:tc><a:txBody><a:p><a:r><a:t>ware</a:t></a:r></a:p></a:txBody></a:tc>"
    '<a:tc><a:txBody><a:p><a:r><a:t>price</a:t></a:r></a:p></a:txBody></a:tc></a:tr><a:tr><a:tc gridSpan="2"><a:txBody><a:p><a:r>'
    '<a:t>rope</a:t></a:r></a:p></a:txBody></a:tc><a:tc hMerge="1"><a:txBody><a:p/></a:txBody></a:tc></a:tr></a:tbl></a:graphicData>'
    "</a:graphic></p:graphicFrame>"
)
FRAME = '<p:graphicFrame><a:graphic><a:graphicData><x:{} xmlns:x="x" r:{}="d"/></a:graphicData></a:graphic></p:graphicFrame>'


def test_slides_are_pages_with_their_notes(parse):
    repeated = shape("Confidential", placeholder="ftr") + shape("7", placeholder="sldNum")
    data = pptx(
        shape("First", placeholder="title") + shape("a", "b") + repeated, shape("Second"), "", shape("Last"), notes={2: shape("say it")}
    )
    (document,) = parse("deck.pptx", data)
    assert document.text == "First\na\nb\n\nSecond\nsay it\n\n\n\nLast"
    assert [document.text[start:].partition("\n")[0] for start in document.page_starts] == ["First", "Second", "", "Last"]
    assert document.title == "First"


def test_hidden_slides_count(parse):
    parts = pptx_parts(shape("one"), shape("two"))
    parts["ppt/slides/slide1.xml"] = str(parts["ppt/slides/slide1.xml"]).replace("<p:sld ", '<p:sld show="0" ')
    assert parse("a.pptx", zipped(parts))[0].text == "one\n\ntwo"


def test_tables_groups_and_alternatives_are_read_once(parse):
    group = f"<p:grpSp>{shape('outer')}<p:grpSp>{shape('inner')}</p:grpSp></p:grpSp>"
    both = (
        f'<m:AlternateContent xmlns:m="m"><m:Choice>{shape("new")}</m:Choice><m:Fallback>{shape("old")}</m:Fallback></m:AlternateContent>'
    )
    assert parse("a.pptx", pptx(TABLE + group + both))[0].text == "ware\tprice\nrope\nouter\ninner\nnew"


@pytest.mark.parametrize(
    ("frame", "kind", "xml", "text"),
    [
        (
            FRAME.format("relIds", "dm"),
            "diagramData",
            f'<d:m xmlns:d="d" xmlns:a="{DRAWING}"><d:pt><d:t><a:p><a:r><a:t>Plan</a:t></a:r></a:p></d:t></d:pt></d:m>',
            "Plan",
        ),
        (
            FRAME.format("chart", "id"),
            "chart",
            f'<c:c xmlns:c="c" xmlns:a="{DRAWING}"><a:p><a:r><a:t>Tonnes</a:t></a:r></a:p><c:strCache><c:pt><c:v>North</c:v></c:pt>'
            "</c:strCache><c:numCache><c:pt><c:v>4</c:v></c:pt></c:numCache></c:c>",
            "Tonnes\nNorth",
        ),
    ],
)
def test_words_of_diagrams_and_charts(parse, frame, kind, xml, text):
    parts = pptx_parts(frame)
    parts["ppt/slides/_rels/slide1.xml.rels"] = rels(d=(kind, "../parts/one.xml"))
    assert parse("a.pptx", zipped({**parts, "ppt/parts/one.xml": xml}))[0].text == text


def test_missing_parts_and_the_strict_form_are_read(parse):
    parts = pptx_parts(shape("kept"))
    parts["ppt/slides/_rels/slide1.xml.rels"] = rels(i=("image", "../media/gone.png"), n=("notesSlide", "../notesSlides/gone.xml"))
    assert parse("a.pptx", zipped(parts))[0].text == "kept"
    strict = {name: str(part).replace("http://schemas.openxmlformats.org/", "http://purl.oclc.org/ooxml/") for name, part in parts.items()}
    assert parse("a.pptx", zipped(strict))[0].text == "kept"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pptx(shape("x"))[:-100], "file_damaged"),
        (zipped({"a": "b"}), "file_damaged"),
        (pptx(), "empty"),
        (pptx("<p:pic/>", ""), "empty"),
        (pptx(shape("x" * 2**21)), "too_large_unpacked"),
        (zipped({**pptx_parts(shape("x")), "ppt/slides/slide1.xml": "<a" * 9}), "file_damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "file_encrypted"),
    ],
)
def test_what_is_no_presentation_is_one_rejection(parse, data, code):
    (rejection,) = parse("a.pptx", data, max_bytes=2**20)
    assert rejection.code == code


def test_pictures_stay_packed(parse):
    parts = {**pptx_parts(shape("words")), "ppt/media/huge.emf": bytes(2**21)}
    assert parse("a.pptx", zipped(parts), max_bytes=2**20)[0].text == "words"


def test_entities_are_not_followed(parse):
    parts = pptx_parts(shape("&e;"))
    slide = str(parts["ppt/slides/slide1.xml"])
    for kind in ('<!ENTITY e SYSTEM "file:///etc/hostname">', '<!ENTITY x "ha"><!ENTITY e "&x;&x;&x;">'):
        (found,) = parse("a.pptx", zipped({**parts, "ppt/slides/slide1.xml": f"<!DOCTYPE d [{kind}]>{slide}"}))
        assert getattr(found, "code", "") == "empty"
