"""What stands outside of the body of a Word document: notes, text boxes, drawings, equations, headers, other documents."""

import pytest

from lloco_core.corpus.formats.word import read_docx
from lloco_core.corpus.reasons import Rejected
from tests.word_files import paragraph, part, relationships, run, word_file


def text(body, files=None, more=None, **parts):
    return read_docx(word_file(body, files, more, **parts), 2**25).text


def reference(kind, key, more=""):
    return f"<w:r><w:rPr><w:rStyle w:val='FootnoteReference'/></w:rPr><w:{kind}Reference w:id='{key}' {more}/></w:r>"


def note(kind, key, *paragraphs, more=""):
    inner = "".join(paragraph(f"<w:r><w:{kind}Ref/></w:r>" + run(f" {words}")) for words in paragraphs)
    return f"<w:{kind} w:id='{key}' {more}>{inner}</w:{kind}>"


SEPARATORS = "".join(
    note("footnote", key, "no", more=f"w:type='{kind}'") for key, kind in ((-1, "separator"), (0, "continuationSeparator"))
)


def test_footnotes_stand_behind_their_paragraph():
    notes = (
        SEPARATORS + note("footnote", 5, "second", "and its end") + note("footnote", 2, "first") + note("footnote", 9, "never referred to")
    )
    body = paragraph(run("One") + reference("footnote", 2) + run(" and two") + reference("footnote", 5) + run(".")) + paragraph("Next")
    assert text(body, footnotes=notes) == "One[1] and two[2].\n[1]  first\n[2]  second\n and its end\nNext"


def test_footnotes_in_tables_stand_behind_them():
    cells = f"<w:tc>{paragraph(run('a') + reference('footnote', 1))}</w:tc><w:tc>{paragraph('b')}</w:tc>"
    body = f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>" + paragraph("after")
    assert text(body, footnotes=note("footnote", 1, "of the table")) == "a[1]\tb\n[1]  of the table\nafter"


def test_endnotes_stand_at_the_end():
    body = paragraph(run("One") + reference("endnote", 1) + run(" two") + reference("endnote", 2)) + paragraph("Next")
    notes = note("endnote", 1, "first") + note("endnote", 2, "second")
    assert text(body, endnotes=notes) == "One[i] two[ii]\nNext\n[i]  first\n[ii]  second"
    settings = "<w:endnotePr><w:numFmt w:val='decimal'/></w:endnotePr>"
    assert text(body, endnotes=notes, settings=settings).startswith("One[1] two[2]\n")


def test_notes_of_their_own_mark_deleted_hidden_and_missing_ones():
    notes = (
        note("footnote", 1, "* starred")
        + note("footnote", 2, "of a deletion")
        + note("footnote", 3, "hidden")
        + note("footnote", 4, "real")
    )
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:footnoteReference w:id='3'/></w:r>"
    body = paragraph(
        run("a")
        + reference("footnote", 1, "w:customMarkFollows='1'")
        + run("*")
        + f"<w:del>{reference('footnote', 2)}</w:del>"
        + hidden
        + reference("footnote", 77)
        + reference("footnote", 4)
    )
    assert text(body, footnotes=notes).split("\n") == ["a*[1]", " * starred".strip(), "[1]  real"]


def test_a_note_that_refers_to_itself_ends():
    notes = f"<w:footnote w:id='1'>{paragraph(run('in itself') + reference('footnote', 1))}</w:footnote>"
    assert text(paragraph(run("a") + reference("footnote", 1)), footnotes=notes) == "a[1]\n[1] in itself"


def test_comments_are_no_text():
    comment = part("w:comments", f"<w:comment w:id='1'>{paragraph('a remark')}</w:comment>")
    body = paragraph(
        "<w:commentRangeStart w:id='1'/>" + run("text") + "<w:commentRangeEnd w:id='1'/><w:r><w:commentReference w:id='1'/></w:r>"
    )
    assert text(body, {"comments.xml": comment}, {"c": ("comments", "comments.xml")}) == "text"


def content(words):
    return f"<w:txbxContent>{paragraph(words)}</w:txbxContent>"


SHAPE = "<w:drawing><wp:anchor><wp:docPr id='1' name='no' descr='no'/><a:graphic>{}</a:graphic></wp:anchor></w:drawing>"
MODERN = SHAPE.format("<wps:wsp><wps:txbx>{0}</wps:txbx></wps:wsp>")
VML = "<w:pict><v:shape><v:textbox>{0}</v:textbox></v:shape></w:pict>"
GROUP = SHAPE.format(
    "<wpg:wgp><wps:wsp><wps:txbx>{0}</wps:txbx></wps:wsp><wpg:grpSp><wps:wsp><wps:txbx>{0}</wps:txbx></wps:wsp></wpg:grpSp></wpg:wgp>"
)
BOXES = {
    "modern": (MODERN, 1),
    "VML": (VML, 1),
    "both": (
        f"<mc:AlternateContent><mc:Choice Requires='wps'>{MODERN}</mc:Choice><mc:Fallback>{VML}</mc:Fallback></mc:AlternateContent>",
        1,
    ),
    "only the fallback": (f"<mc:AlternateContent><mc:Choice Requires='future'/><mc:Fallback>{VML}</mc:Fallback></mc:AlternateContent>", 1),
    "group": (GROUP, 2),
    "VML group": ("<w:pict><v:group><v:rect><v:textbox>{0}</v:textbox></v:rect></v:group></w:pict>", 1),
    "object": ("<w:object><v:shape><v:textbox>{0}</v:textbox></v:shape></w:object>", 1),
}


@pytest.mark.parametrize("kind", BOXES)
def test_text_boxes_are_read_once_behind_their_paragraph(kind):
    box, times = BOXES[kind]
    body = paragraph(run("An") + f"<w:r>{box.format(content('in the box'))}</w:r>" + run("chor")) + paragraph("Next")
    assert text(body) == "\n".join(["Anchor", *["in the box"] * times, "Next"])


def test_text_boxes_hold_what_a_body_holds():
    inner = paragraph("one") + f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>" + paragraph("")
    within = f"<w:txbxContent>{inner}{paragraph(f'<w:r>{VML.format(content(chr(120)))}</w:r>')}</w:txbxContent>"
    assert text(paragraph(f"<w:r>{MODERN.format(within)}</w:r>")) == "\none\na\tb\nx"
    cell = f"<w:tbl><w:tr><w:tc>{paragraph(run('cell') + f'<w:r>{VML.format(content(chr(120)))}</w:r>')}</w:tc></w:tr></w:tbl>"
    assert text(cell) == "cell x"


def test_word_art_and_drawn_text():
    art = "<w:r><w:pict><v:shape><v:textpath string='FOR SALE'/></v:shape></w:pict></w:r>"
    drawn = (
        f"<w:r>{SHAPE.format('<a:sp><a:txBody><a:p><a:r><a:t>drawn </a:t></a:r><a:r><a:t>words</a:t></a:r></a:p></a:txBody></a:sp>')}</w:r>"
    )
    assert text(paragraph(run("a") + art + drawn)) == "a\nFOR SALE\ndrawn words"


def test_smart_art():
    points = "".join(f"<dgm:pt><dgm:t><a:p><a:r><a:t>{words}</a:t></a:r></a:p></dgm:t></dgm:pt>" for words in ("Board", "", "Sales"))
    data = part("dgm:dataModel", f"<dgm:ptLst>{points}</dgm:ptLst>")
    body = paragraph(run("Chart") + f"<w:r>{SHAPE.format('<dgm:relIds r:dm=' + chr(34) + 'd1' + chr(34) + '/>')}</w:r>")
    assert text(body, {"diagrams/data1.xml": data}, {"d1": ("diagramData", "diagrams/data1.xml")}) == "Chart\nBoard\nSales"


def math(content):
    return f"<m:oMath>{content}</m:oMath>"


def m(words):
    return f"<m:r><w:rPr><w:rFonts w:ascii='Cambria Math'/></w:rPr><m:t>{words}</m:t></m:r>"


def e(words):
    return f"<m:e>{m(words)}</m:e>"


EQUATIONS = {
    m("E=m") + f"<m:sSup>{e('c')}<m:sup>{m('2')}</m:sup></m:sSup>": "E=mc^2",
    f"<m:sSub>{e('x')}<m:sub>{m('i+1')}</m:sub></m:sSub>": "x_(i+1)",
    f"<m:sSubSup>{e('x')}<m:sub>{m('1')}</m:sub><m:sup>{m('2')}</m:sup></m:sSubSup>": "x_1^2",
    f"<m:f><m:fPr/><m:num>{m('a+b')}</m:num><m:den>{m('2')}</m:den></m:f>": "(a+b)/2",
    f"<m:rad><m:radPr><m:degHide m:val='1'/></m:radPr><m:deg/>{e('x')}</m:rad>": "√(x)",
    f"<m:rad><m:deg>{m('3')}</m:deg>{e('x')}</m:rad>": "∛(x)",
    f"<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr><m:sub>{m('i=1')}</m:sub><m:sup>{m('n')}</m:sup>{e('i')}</m:nary>": "∑_(i=1)^n i",
    f"<m:d>{e('a')}{e('b')}</m:d>": "(a|b)",
    f"<m:d><m:dPr><m:begChr m:val='['/><m:sepChr m:val=','/><m:endChr m:val=''/></m:dPr>{e('a')}{e('b')}</m:d>": "[a,b",
    f"<m:func><m:fName>{m('sin')}</m:fName>{e('x')}</m:func>": "sin x",
    f"<m:m><m:mr>{e('a')}{e('b')}</m:mr><m:mr>{e('c')}{e('d')}</m:mr></m:m>": "a, b; c, d",
    f"<m:eqArr>{e('x=1')}{e('y=2')}</m:eqArr>": "x=1; y=2",
    f"<m:limLow>{e('lim')}<m:lim>{m('n→∞')}</m:lim></m:limLow>": "lim_(n→∞)",
    f"<m:acc>{e('x')}</m:acc>": "x",
    f"<w:ins>{m('new')}</w:ins><w:del>{m('old')}</w:del>": "new",
    "<m:r><w:rPr><w:vanish/></w:rPr><m:t>hidden</m:t></m:r>" + m("shown"): "shown",
}


@pytest.mark.parametrize("content", EQUATIONS, ids=EQUATIONS.values())
def test_equations_are_read_in_one_line(content):
    assert text(paragraph(run("So ") + math(content) + run("."))) == f"So {EQUATIONS[content]}."
    assert text(paragraph(f"<m:oMathPara>{math(content)}</m:oMathPara>")) == EQUATIONS[content]


def header(words, kind="hdr", **more):
    return part(f"w:{kind}", words if "<" in words else paragraph(words))


def section(*references, title=False):
    shown = "".join(f"<w:{place}Reference w:type='{kind}' r:id='{key}'/>" for place, kind, key in references)
    return f"<w:sectPr>{shown}{'<w:titlePg/>' if title else ''}</w:sectPr>"


def page(code="PAGE"):
    return f"<w:fldSimple w:instr=' {code} '>{run('3')}</w:fldSimple>"


HEADERS = {
    "h1.xml": header(f"<w:p>{run('Contract 4711')}<w:r><w:tab/></w:r>{run('Page ')}{page()}{run(' of ')}{page('NUMPAGES')}</w:p>"),
    "h2.xml": header("Scope of supply"),
    "h3.xml": header("First page only"),
    "h4.xml": header("Even page"),
    "f1.xml": header(f"<w:p>{run('Acme Ltd, 1 High Street')}</w:p><w:p>{run('contract 4711')}</w:p>", "ftr"),
    "f2.xml": header(f"<w:p>{run('Approved on ')}{page('DATE')}{run(' by the board of Acme')}</w:p>", "ftr"),
}
LINKS = {name[:2]: ("header" if name[0] == "h" else "footer", name) for name in HEADERS}


def test_headers_say_what_nothing_else_says():
    body = paragraph("The scope, of SUPPLY") + section(("header", "default", "h1"), ("footer", "default", "f1"), ("header", "first", "h3"))
    assert text(body, HEADERS, LINKS) == "The scope, of SUPPLY\nContract 4711\nAcme Ltd, 1 High Street"
    body = paragraph("The scope of supply") + section(("header", "default", "h2"), ("footer", "default", "f2"))
    assert text(body, HEADERS, LINKS) == "The scope of supply\nApproved on by the board of Acme"


def test_headers_of_first_and_even_pages_where_there_are_such():
    body = paragraph("x") + section(("header", "first", "h3"), ("header", "even", "h4"), title=True)
    assert text(body, HEADERS, LINKS) == "x\nFirst page only"
    assert text(body, HEADERS, LINKS, settings="<w:evenAndOddHeaders/>") == "x\nFirst page only\nEven page"


def test_a_header_of_several_sections_is_said_once():
    first = paragraph("a", section(("header", "default", "h3")))
    body = first + paragraph("b") + section(("header", "default", "h3"), ("header", "default", "gone"))
    assert text(body, HEADERS, LINKS) == "a\nb\nFirst page only"


def chunk(data, name, within=""):
    body = paragraph("Before") + "<w:altChunk r:id='c1'><w:altChunkPr/></w:altChunk>" + paragraph("After") + within
    return lambda: text(body, {name: data}, {"c1": ("aFChunk", name)})


def test_documents_that_word_imports_are_read():
    inner = word_file(paragraph("Inner"))
    assert chunk(inner, "a.docx")() == "Before\nInner\nAfter"
    assert chunk(inner, "afchunk.dat")() == "Before\nInner\nAfter"
    assert chunk("<html><body><p>From a page</p></body></html>", "a.html")() == "Before\nFrom a page\nAfter"
    assert chunk("Plain\nlines", "a.txt")() == "Before\nPlain\nlines\nAfter"
    assert chunk(r"{\rtf1\ansi\ansicpg1250 P\'f8\'edstav\par}", "a.rtf")() == "Before\nPřístav\nAfter"
    archive = "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n<html><body><p>Přístav</p></body></html>"
    assert chunk(archive, "a.mht")() == "Before\nPřístav\nAfter"


@pytest.mark.parametrize(("data", "name"), [("%PDF-1.4", "a.pdf"), ("?", "a.bin")])
def test_imports_of_other_formats_reject_the_document(data, name):
    with pytest.raises(
        Rejected, match=f"part word/{name} is a document of another format.*; open it in Word and save it again"
    ) as rejected:
        chunk(data, name)()
    assert rejected.value.reason == "docx_damaged"


def test_imports_within_imports_end():
    data = word_file(paragraph("x"))
    for _ in range(5):
        data = word_file("<w:altChunk r:id='c1'/>", {"a.docx": data}, {"c1": ("aFChunk", "a.docx")})
    with pytest.raises(Rejected, match="another format"):
        read_docx(data, 2**25)


def test_a_subdocument_is_another_file():
    body = paragraph(run("Chapters: ") + "<w:subDoc r:id='s1'/>")
    assert text(body, None, {"s1": ("subDocument", "file:///C:/chapter.docx")}) == "Chapters: "
    assert "External" in relationships({"s1": ("subDocument", "file:///C:/chapter.docx")})
