"""Which words of a Word document are its text: wrappers, changes, fields, hidden text, characters."""

import pytest

from lloco_core.corpus.formats.word import read_docx
from tests.word_files import paragraph, run, word_file


def text(body, **parts):
    return read_docx(word_file(body, **parts), 2**25).text


def sdt(content, properties=""):
    return f"<w:sdt><w:sdtPr>{properties}</w:sdtPr><w:sdtContent>{content}</w:sdtContent></w:sdt>"


WRAPPERS = {
    "smart tag": "<w:smartTag w:uri='u' w:element='place'><w:smartTagPr><w:attr w:name='no'/></w:smartTagPr>{}</w:smartTag>",
    "nested smart tags": "<w:smartTag><w:smartTag>{}</w:smartTag></w:smartTag>",
    "move": "<w:moveTo w:id='1' w:author='a'>{}</w:moveTo>",
    "insertion": "<w:ins w:id='1' w:author='a'>{}</w:ins>",
    "insertion of a move": "<w:ins><w:moveTo>{}</w:moveTo></w:ins>",
    "link": "<w:hyperlink r:id='r9'>{}</w:hyperlink>",
    "insertion in a link": "<w:hyperlink w:anchor='x'><w:ins w:id='1'>{}</w:ins></w:hyperlink>",
    "link in an insertion": "<w:ins><w:hyperlink w:anchor='x'>{}</w:hyperlink></w:ins>",
    "simple field": "<w:fldSimple w:instr='TITLE'>{}</w:fldSimple>",
    "simple fields within each other": "<w:fldSimple w:instr='REF a'><w:fldSimple w:instr='REF b'>{}</w:fldSimple></w:fldSimple>",
    "custom XML": "<w:customXml w:element='e'><w:customXmlPr><w:attr w:name='no'/></w:customXmlPr>{}</w:customXml>",
    "direction": "<w:dir w:val='rtl'>{}</w:dir>",
    "forced direction": "<w:bdo w:val='ltr'>{}</w:bdo>",
    "content control": "<w:sdt><w:sdtPr><w:alias w:val='no'/></w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt>",
    "content control without properties": "<w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt>",
    "tag in a control in a link": "<w:hyperlink><w:sdt><w:sdtContent><w:smartTag>{}</w:smartTag></w:sdtContent></w:sdt></w:hyperlink>",
    "ruby": "<w:r><w:ruby><w:rt><w:r><w:t>no</w:t></w:r></w:rt><w:rubyBase>{}</w:rubyBase></w:ruby></w:r>",
    "alternative": "<mc:AlternateContent><mc:Choice Requires='w14'>{}</mc:Choice><mc:Fallback><w:r/></mc:Fallback></mc:AlternateContent>",
    "conflicting insertion": "<w14:conflictIns>{}</w14:conflictIns>",
    "an element of a later version": "<future:wrapper>{}</future:wrapper>",
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_words_in_every_wrapper_are_text_once_and_in_place(wrapper):
    assert text(paragraph(run("Before ") + wrapper.format(run("inside")) + run(" after."))) == "Before inside after."


@pytest.mark.parametrize("wrapper", ["w:ins", "w:moveTo", "w:customXml", "w:smartTag", "w:sdt"])
def test_blocks_rows_and_cells_in_wrappers_are_text(wrapper):
    def wrap(content):
        return sdt(content) if wrapper == "w:sdt" else f"<{wrapper}>{content}</{wrapper}>"

    cells = [f"<w:tc>{paragraph(word)}</w:tc>" for word in ("a", "b")]
    rows = (
        f"<w:tr>{wrap(cells[0])}{cells[1]}</w:tr>"
        + wrap(f"<w:tr>{''.join(cells)}</w:tr>")
        + f"<w:tr><w:tc>{wrap(paragraph('c'))}</w:tc></w:tr>"
    )
    assert text(wrap(paragraph("First")) + f"<w:tbl>{rows}</w:tbl>" + wrap(f"<w:tbl>{rows}</w:tbl>")) == "First" + "\na\tb\na\tb\nc" * 2


@pytest.mark.parametrize("dropped", ["w:del", "w:moveFrom", "w14:conflictDel"])
def test_what_is_deleted_or_moved_away_is_no_text(dropped):
    gone = f"<{dropped} w:id='1'>{run('gone')}<w:r><w:delText>gone</w:delText></w:r></{dropped}>"
    assert text(paragraph(run("stays") + gone + f"<w:hyperlink>{gone}</w:hyperlink>")) == "stays"
    assert text(f"<{dropped}>{paragraph('gone')}</{dropped}>" + paragraph("stays")) == "stays"


@pytest.mark.parametrize("mark", ["<w:del/>", "<w:moveFrom/>", "<w:vanish/>", "<w:specVanish/><w:vanish/>"])
def test_a_paragraph_without_its_end_goes_on_in_the_next(mark):
    assert text(paragraph("one ", f"<w:rPr>{mark}</w:rPr>") + paragraph("two") + paragraph("three")) == "one two\nthree"
    assert text(paragraph("last", f"<w:rPr>{mark}</w:rPr>")) == "last"
    assert text(f"<w:p><w:pPr><w:rPr>{mark}</w:rPr></w:pPr></w:p>" + paragraph("two")) == "two"


def test_deleted_rows_and_cells_are_no_text():
    row = "<w:tr>{}<w:tc><w:tcPr>{}</w:tcPr>" + paragraph("x") + "</w:tc><w:tc>" + paragraph("y") + "</w:tc></w:tr>"
    table = (
        row.format("", "") + row.format("<w:trPr><w:del w:id='1'/></w:trPr>", "") + row.format("<w:trPr><w:ins/></w:trPr>", "<w:cellDel/>")
    )
    assert text(f"<w:tbl>{table}</w:tbl>") == "x\ty\ny"


def mark(kind, data=""):
    return f"<w:r><w:fldChar w:fldCharType='{kind}'>{data}</w:fldChar></w:r>"


def field(code, result, separate=True, data=""):
    instruction = code if "<" in code else f"<w:r><w:instrText>{code}</w:instrText></w:r>"
    return mark("begin", data) + instruction + (mark("separate") if separate else "") + result + mark("end")


def test_results_of_fields_are_text_and_instructions_are_not():
    assert text(paragraph(run("See ") + field("REF x", run("clause 4")) + run("."))) == "See clause 4."
    inner = field("IF", run("yes") + field("REF y", run(" and more")))
    assert text(paragraph(inner)) == "yes and more"
    assert text(paragraph(run("a ") + field(run("IF ") + field("REF z", run("condition")), run("shown")))) == "a shown"
    assert text(paragraph(field("XE index", run("entry"), separate=False) + run("text"))) == "text"
    assert text(paragraph("<w:hyperlink>" + field("PAGEREF x", run("12")) + "</w:hyperlink>")) == "12"


def test_a_field_may_span_paragraphs_and_tables():
    begin = mark("begin") + "<w:r><w:instrText>TOC</w:instrText></w:r>" + mark("separate")
    table = f"<w:tbl><w:tr><w:tc>{paragraph('cell')}</w:tc></w:tr></w:tbl>"
    assert text(paragraph(begin + run("one")) + table + paragraph(run("two") + mark("end")) + paragraph("three")) == "one\ncell\ntwo\nthree"


@pytest.mark.parametrize("kind", ["begin", "separate", "end"])
def test_a_field_that_is_damaged_hides_nothing(kind):
    assert text(paragraph(run("a") + mark(kind) + run("b")) + paragraph(field("REF", run("c")) + run("d"))) == "ab\ncd"


def test_form_fields_show_their_state():
    def form(data, code):
        return field(code, "", separate=False, data=f"<w:ffData>{data}</w:ffData>")

    entries = "<w:listEntry w:val='North'/><w:listEntry w:val='South'/>"
    assert (
        text(paragraph(run("Region: ") + form(f"<w:ddList><w:result w:val='1'/>{entries}</w:ddList>", "FORMDROPDOWN"))) == "Region: South"
    )
    assert text(paragraph(form(f"<w:ddList>{entries}</w:ddList>", "FORMDROPDOWN"))) == "North"
    assert text(paragraph(form("<w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox>", "FORMCHECKBOX") + run(" yes"))) == "☒ yes"
    assert text(paragraph(form("<w:checkBox><w:default w:val='0'/></w:checkBox>", "FORMCHECKBOX") + run(" no"))) == "☐ no"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (r"EQ \f(1,2)", "1/2"),
        (r"EQ \r(3,x+1)", "√(x+1)"),
        (r"EQ \* jc2 \* &quot;Font:MS Mincho&quot; \o\ad(\s\up 9(かん),漢)", "漢"),
        (r"EQ \b(\a(a,b))", "(a b)"),
    ],
)
def test_equation_fields_show_what_they_say(code, shown):
    assert text(paragraph(run("x ") + field(code, "", separate=False))).endswith(shown)


def styles(*items):
    found = ""
    for kind, key, based, properties in items:
        parent = f"<w:basedOn w:val='{based}'/>" if based else ""
        found += f"<w:style w:type='{kind}' w:styleId='{key}'>{parent}<w:rPr>{properties}</w:rPr></w:style>"
    return found


HIDING = styles(
    ("paragraph", "HiddenP", None, "<w:vanish/>"),
    ("paragraph", "Below", "HiddenP", ""),
    ("paragraph", "Shown", "HiddenP", "<w:vanish w:val='0'/>"),
    ("character", "HiddenC", None, "<w:vanish/>"),
    ("character", "BelowC", "HiddenC", "<w:b/>"),
    ("character", "Web", None, "<w:webHidden/>"),
    ("paragraph", "Loop", "Loop", ""),
)


@pytest.mark.parametrize(
    ("properties", "style", "is_shown"),
    [
        ("<w:vanish/>", "", False),
        ("<w:webHidden/>", "", False),
        ("<w:vanish w:val='true'/>", "", False),
        ("<w:vanish w:val='on'/>", "", False),
        ("<w:vanish w:val='0'/>", "", True),
        ("<w:vanish w:val='false'/>", "", True),
        ("<w:rStyle w:val='HiddenC'/>", "", False),
        ("<w:rStyle w:val='BelowC'/>", "", False),
        ("<w:rStyle w:val='Web'/>", "", False),
        ("<w:rStyle w:val='HiddenC'/><w:vanish w:val='0'/>", "", True),
        ("<w:rStyle w:val='unknown'/>", "", True),
        ("", "HiddenP", False),
        ("", "Below", False),
        ("", "Shown", True),
        ("", "Loop", True),
        ("<w:vanish w:val='0'/>", "HiddenP", True),
        ("<w:rStyle w:val='HiddenC'/>", "HiddenP", True),
        ("<w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange>", "", True),
    ],
)
def test_hidden_text_is_no_text(properties, style, is_shown):
    body = paragraph(run("visible") if not style else "<w:r/>") + paragraph(
        run("secret", properties), style and f"<w:pStyle w:val='{style}'/>"
    )
    assert ("secret" in text(body + paragraph("end"), styles=HIDING)) == is_shown


def test_hidden_things_hide_what_they_hold_and_no_more():
    box = (
        "<w:r><w:rPr><w:vanish/></w:rPr><w:pict><v:shape><v:textbox><w:txbxContent>"
        + paragraph("box")
        + "</w:txbxContent></v:textbox></v:shape></w:pict></w:r>"
    )
    hidden_field = field("REF", run("result")).replace("<w:r>", "<w:r><w:rPr><w:vanish/></w:rPr>", 2)
    assert (
        text(
            paragraph(run("a") + box + hidden_field + "<w:r><w:rPr><w:vanish/></w:rPr><w:tab/><w:sym w:font='Symbol' w:char='F061'/></w:r>")
        )
        == "aresult"
    )


CHARACTERS = {
    "<w:tab/>": "\t",
    "<w:ptab w:relativeTo='margin' w:alignment='center' w:leader='none'/>": "\t",
    "<w:br/>": "\n",
    "<w:br w:type='page'/>": "\n",
    "<w:br w:type='column'/>": "\n",
    "<w:cr/>": "\n",
    "<w:noBreakHyphen/>": "-",
    "<w:softHyphen/>": "",
    "<w:lastRenderedPageBreak/>": "",
    "<w:sym w:font='Symbol' w:char='F061'/>": "α",
    "<w:sym w:font='Symbol' w:char='F0B3'/>": "≥",
    "<w:sym w:font='symbol' w:char='00B3'/>": "≥",
    "<w:sym w:font='Wingdings' w:char='F0FE'/>": "☑",
    "<w:sym w:font='Wingdings' w:char='F0E0'/>": "→",
    "<w:sym w:font='Arial' w:char='20AC'/>": "€",
    "<w:sym w:font='Of a company' w:char='F041'/>": "",
    "<w:sym w:font='Symbol' w:char='no number'/>": "",
    "<w:sym w:font='Arial' w:char='FFFFFFFF'/>": "",
    "<w:rPr><w:rFonts w:ascii='Symbol' w:hAnsi='Symbol'/></w:rPr><w:t>\uf0b0</w:t>": "°",
    "<mc:AlternateContent><mc:Choice Requires='w16se'><w16se:symEx w16se:font='Segoe UI Emoji' w16se:char='1F60A'/></mc:Choice>"
    "<mc:Fallback><w:t>no</w:t></mc:Fallback></mc:AlternateContent>": "😊",
}


@pytest.mark.parametrize(("xml", "expected"), CHARACTERS.items())
def test_characters(xml, expected):
    assert text(paragraph(f"{run('a')}<w:r>{xml}</w:r>{run('b')}")) == f"a{expected}b"


@pytest.mark.parametrize(
    ("alternatives", "expected"),
    [
        ("<mc:Choice Requires='future'>{0}</mc:Choice><mc:Fallback>{1}</mc:Fallback>", "second"),
        ("<mc:Choice Requires='undeclared'>{0}</mc:Choice><mc:Fallback>{1}</mc:Fallback>", "second"),
        ("<mc:Choice Requires='wps w14'>{0}</mc:Choice><mc:Fallback>{1}</mc:Fallback>", "first"),
        (
            "<mc:Choice Requires='wps future'>{0}</mc:Choice><mc:Choice Requires='wps'>{1}</mc:Choice><mc:Fallback>{2}</mc:Fallback>",
            "second",
        ),
        ("<mc:Choice Requires='wps'><w:r><w:drawing/></w:r></mc:Choice><mc:Fallback>{1}</mc:Fallback>", "second"),
        ("<mc:Choice Requires='wps'>{0}</mc:Choice>", "first"),
        ("<mc:Fallback>{1}</mc:Fallback>", "second"),
        ("", ""),
    ],
)
def test_one_branch_of_alternatives_is_read(alternatives, expected):
    branches = alternatives.format(run("first"), run("second"), run("third"))
    assert text(paragraph(run("a ") + f"<mc:AlternateContent>{branches}</mc:AlternateContent>")) == f"a {expected}"


@pytest.mark.parametrize("on", ["<w:showingPlcHdr/>", "<w:showingPlcHdr w:val='1'/>"])
def test_placeholders_of_content_controls_are_no_text(on):
    prompt, off = "Click here to enter text.", "<w:showingPlcHdr w:val='0'/>"
    assert text(paragraph(run("Name: ") + sdt(run(prompt), on))) == "Name: "
    assert text(paragraph(run("Name: ") + sdt(run("Ada"), off))) == "Name: Ada"
    assert text(paragraph("Before") + sdt(paragraph(prompt), on) + sdt(paragraph("After"), off)) == "Before\nAfter"
    cell = f"<w:tc>{paragraph(prompt)}</w:tc>"
    assert text(f"<w:tbl><w:tr>{sdt(cell, on)}<w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>") == "\tb"
    assert text(f"<w:tbl>{sdt(f'<w:tr>{cell}{cell}</w:tr>', on)}<w:tr><w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>") == "\t\nb"


def test_tables_are_rows_of_cells():
    def cell(content, properties=""):
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{content}</w:tc>"

    inner = f"<w:tbl><w:tr>{cell(paragraph('in'))}{cell(paragraph('ner'))}</w:tr></w:tbl>{paragraph('')}"
    broken = paragraph("<w:r><w:t>two</w:t><w:br/><w:t>lines</w:t><w:tab/><w:t>and a tab</w:t></w:r>")
    rows = [
        cell(paragraph("wide"), "<w:gridSpan w:val='2'/>") + cell(paragraph("high"), "<w:vMerge w:val='restart'/>"),
        cell(paragraph("a") + paragraph("b")) + cell(broken) + cell(paragraph(""), "<w:vMerge/>"),
        cell(inner) + cell(paragraph("old"), "<w:hMerge w:val='restart'/>") + cell(paragraph(""), "<w:hMerge w:val='continue'/>"),
        "",
    ]
    table = "".join(f"<w:tr>{row}</w:tr>" for row in rows)
    assert text(paragraph("T") + f"<w:tbl>{table}</w:tbl>").split("\n") == [
        "T",
        "wide\thigh",
        "a b\ttwo lines and a tab\t",
        "in ner\told",
        "",
    ]


def test_line_ends_of_the_xml_are_spaces():
    assert text(paragraph("<w:r><w:t>one\n      two</w:t></w:r>")) == "one two"


@pytest.mark.parametrize(
    "wrapper", ["<w:smartTag>{}</w:smartTag>", "<w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt>", "<future:x>{}</future:x>"]
)
def test_deep_wrappers_are_read(wrapper):
    inner = run("deep")
    for _ in range(110):
        inner = wrapper.format(inner)
    assert text(paragraph(inner)) == "deep"


def test_deep_tables_and_equations_are_read():
    inner = paragraph("deep")
    for _ in range(70):
        inner = f"<w:tbl><w:tr><w:tc>{inner}</w:tc></w:tr></w:tbl>"
    assert text(inner) == "deep"
    inner = "<m:r><m:t>x</m:t></m:r>"
    for _ in range(100):
        inner = f"<m:rad><m:e>{inner}</m:e></m:rad>"
    assert text(paragraph(f"<m:oMath>{inner}</m:oMath>")).count("x") == 1
    inner = paragraph("box")
    for _ in range(35):
        inner = paragraph(f"<w:r><w:pict><v:shape><v:textbox><w:txbxContent>{inner}</w:txbxContent></v:textbox></v:shape></w:pict></w:r>")
    assert text(inner).split() == ["box"]
