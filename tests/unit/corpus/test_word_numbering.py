"""Automatic numbers of Word paragraphs, as Word shows them."""

import pytest

from lloco_core.corpus.formats.word import read_docx
from lloco_core.corpus.formats.word.number_formats import number_text
from tests.word_files import paragraph, word_file


def level(number, text, number_format="decimal", start="<w:start w:val='1'/>", more=""):
    return f"<w:lvl w:ilvl='{number}'>{start}<w:numFmt w:val='{number_format}'/>{more}<w:lvlText w:val='{text}'/></w:lvl>"


def abstract(key, *levels, more=""):
    return f"<w:abstractNum w:abstractNumId='{key}'>{more}{''.join(levels)}</w:abstractNum>"


def num(key, of, overrides=""):
    return f"<w:num w:numId='{key}'><w:abstractNumId w:val='{of}'/>{overrides}</w:num>"


def item(text, num_id=1, at=0, more=""):
    return paragraph(text, f"{more}<w:numPr><w:ilvl w:val='{at}'/><w:numId w:val='{num_id}'/></w:numPr>")


def lines(body, numbering, styles=""):
    return read_docx(word_file(body, numbering=numbering, styles=styles), 2**25).text.split("\n")


LEGAL = abstract(0, level(0, "%1."), level(1, "%1.%2"), level(2, "(%3)", "lowerLetter"), level(3, "(%4)", "lowerRoman")) + num(1, 0)


def test_levels_count_and_begin_anew():
    body = "".join(item(f"t{at}", at=at) for at in (0, 1, 1, 2, 2, 3, 1, 2, 0, 1, 2))
    expected = "1. t0|1.1 t1|1.2 t1|(a) t2|(b) t2|(i) t3|1.3 t1|(a) t2|2. t0|2.1 t1|(a) t2"
    assert lines(body, LEGAL) == expected.split("|")


def test_other_paragraphs_between_do_not_count_and_zero_is_off():
    body = item("a") + paragraph("between") + item("off", num_id=0) + item("unknown", num_id=77) + item("b", at=8) + item("c")
    assert lines(body, LEGAL) == ["1. a", "between", "off", "unknown", "b", "2. c"]


def test_a_deeper_level_first_shows_the_start_of_those_above():
    assert lines(item("a", at=1) + item("b", at=1) + item("c") + item("d", at=1), LEGAL) == ["1.1 a", "1.2 b", "1. c", "1.1 d"]


@pytest.mark.parametrize(
    ("restart", "expected"),
    [
        ("", "123451"),
        ("<w:lvlRestart w:val='0'/>", "123456"),
        ("<w:lvlRestart w:val='1'/>", "123451"),
        ("<w:lvlRestart w:val='2'/>", "123451"),
    ],
)
def test_restarts(restart, expected):
    numbering = abstract(0, level(0, "%1."), level(1, "%2)", more=restart)) + num(1, 0)
    body = "".join(item("x", at=1) for _ in range(5)) + item("top") + item("x", at=1)
    assert "".join(line[0] for line in lines(body, numbering) if line.endswith("x")) == expected


def test_a_level_may_wait_for_a_higher_one_to_begin_anew():
    numbering = abstract(0, level(0, "%1."), level(1, "%2."), level(2, "%3.", more="<w:lvlRestart w:val='1'/>")) + num(1, 0)
    body = item("a") + item("b", at=1) + item("c", at=2) + item("d", at=1) + item("e", at=2) + item("f") + item("g", at=2)
    assert lines(body, numbering) == ["1. a", "1. b", "1. c", "2. d", "2. e", "2. f", "1. g"]


def test_lists_of_one_abstract_list_count_on_unless_they_say_where_to_start():
    restart = "<w:lvlOverride w:ilvl='0'><w:startOverride w:val='{}'/></w:lvlOverride>"
    numbering = abstract(0, level(0, "%1.")) + num(1, 0) + num(2, 0) + num(3, 0, restart.format(1)) + num(4, 0, restart.format(7))
    body = "".join(item("x", num_id=key) for key in (1, 1, 2, 3, 3, 1, 4, 4, 3))
    assert [line[:2] for line in lines(body, numbering)] == ["1.", "2.", "3.", "1.", "2.", "3.", "7.", "8.", "9."]


def test_a_list_may_have_levels_of_its_own():
    override = f"<w:lvlOverride w:ilvl='0'>{level(0, 'Annex %1:', 'upperLetter')}</w:lvlOverride>"
    body = item("a") + item("b", num_id=2) + item("c", num_id=2, at=1)
    assert lines(body, LEGAL + num(2, 0, override)) == ["1. a", "Annex B: b", "B.1 c"]


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (level(0, "%1)", "lowerLetter"), "a) x"),
        (level(0, "Article %1", "upperRoman", "<w:start w:val='4'/>"), "Article IV x"),
        (level(0, "§ %1", more="<w:suff w:val='space'/>"), "§ 1 x"),
        (level(0, "%1-", more="<w:suff w:val='nothing'/>"), "1-x"),
        (level(0, "Note:", "none"), "Note: x"),
        (level(0, "%1", "none"), "x"),
        (level(0, ""), "x"),
        (level(0, "%1.", start=""), "0. x"),
        (level(0, "%1.", "a format of the future"), "1. x"),
        (level(0, "\uf0b7", "bullet"), "• x"),
        (level(0, "\uf0a7", "bullet", more="<w:rPr><w:rFonts w:ascii='Wingdings'/></w:rPr>"), "▪ x"),
        (level(0, "–", "bullet"), "– x"),
        (level(0, "%1 is no place", "bullet"), "%1 is no place x"),
        (level(0, "", "bullet", more="<w:lvlPicBulletId w:val='0'/>"), "• x"),
        (level(0, "%1.", more="<w:rPr><w:vanish/></w:rPr>"), "x"),
        (level(0, "%1.%5."), "1.. x"),
        ("<w:lvl w:ilvl='0'><w:start w:val='3'/><w:lvlText w:val='%1.'/></w:lvl>", "3. x"),
        ("<w:lvl w:ilvl='0'><w:lvlText w:null='1'/></w:lvl>", "x"),
        ("<w:lvl w:ilvl='nine'><w:lvlText w:val='%1.'/></w:lvl><w:lvl w:ilvl='12'/>", "x"),
    ],
)
def test_what_a_level_may_say(definition, expected):
    assert lines(item("x"), abstract(0, definition) + num(1, 0)) == [expected]


def test_legal_numbering_is_decimal_throughout():
    numbering = abstract(0, level(0, "Article %1", "upperRoman"), level(1, "%1.%2", "lowerLetter", more="<w:isLgl/>")) + num(1, 0)
    assert lines(item("a") + item("b") + item("c", at=1), numbering) == ["Article I a", "Article II b", "2.1 c"]


def test_a_sample_of_a_number():
    sample, plain = "<w:numFmt w:val='custom' w:format='001, 002, 003, ...'/>", "<w:numFmt w:val='decimal'/>"
    choice = f"<mc:Choice Requires='w14'>{sample}</mc:Choice><mc:Fallback>{plain}</mc:Fallback>"
    choice = f"<mc:AlternateContent>{choice}</mc:AlternateContent>"
    numbering = abstract(0, f"<w:lvl w:ilvl='0'><w:start w:val='9'/>{choice}<w:lvlText w:val='%1'/></w:lvl>") + num(1, 0)
    assert lines(item("a") + item("b"), numbering) == ["009 a", "010 b"]


def style(key, based, numbered):
    parent = f"<w:basedOn w:val='{based}'/>" if based else ""
    return f"<w:style w:type='paragraph' w:styleId='{key}'>{parent}<w:pPr>{numbered}</w:pPr></w:style>"


def styled(text, key, own=""):
    return paragraph(text, f"<w:pStyle w:val='{key}'/>{own}")


HEADINGS = abstract(
    0, level(0, "%1.", more="<w:pStyle w:val='Heading1'/>"), level(1, "%1.%2", more="<w:pStyle w:val='Heading2'/>"), level(2, "%1.%2.%3")
) + num(5, 0)
LIST = "<w:numPr>{}<w:numId w:val='5'/></w:numPr>"
STYLES = (
    style("Heading1", None, LIST.format(""))
    + style("Heading2", "Heading1", "<w:numPr><w:ilvl w:val='1'/></w:numPr>")
    + style("Linked", "Heading2", LIST.format(""))
    + style("Clause", "Heading1", "")
    + style("Off", "Heading1", "<w:numPr><w:numId w:val='0'/></w:numPr>")
)


def test_numbers_through_styles():
    body = styled("Scope", "Heading1") + styled("Scope of supply", "Heading2") + styled("on", "Linked") + styled("Prices", "Clause")
    assert lines(body, HEADINGS, STYLES) == ["1. Scope", "1.1 Scope of supply", "1.2 on", "2. Prices"]
    off = "<w:numPr><w:ilvl w:val='0'/><w:numId w:val='0'/></w:numPr>"
    deeper = "<w:numPr><w:ilvl w:val='2'/></w:numPr>"
    body = (
        styled("a", "Heading1")
        + styled("b", "Heading1", off)
        + styled("c", "Off")
        + styled("d", "Heading1", deeper)
        + styled("e", "Heading1")
    )
    assert lines(body, HEADINGS, STYLES) == ["1. a", "b", "c", "1.1.1 d", "2. e"]


def test_the_level_of_a_style_is_the_one_that_names_it():
    styles = style("Heading1", None, LIST.format("")) + style("Heading2", None, LIST.format(""))
    assert lines(styled("a", "Heading1") + styled("b", "Heading2"), HEADINGS, styles) == ["1. a", "1.1 b"]


def test_the_default_paragraph_style_counts_too():
    styles = f"<w:style w:type='paragraph' w:default='1' w:styleId='N'><w:pPr>{LIST.format('')}</w:pPr></w:style>"
    assert lines(paragraph("a") + paragraph("b"), HEADINGS, styles) == ["1. a", "2. b"]


def test_lists_by_numbering_styles():
    numbering = abstract(0, more="<w:numStyleLink w:val='Legal'/>") + abstract(1, level(0, "§%1"), more="<w:styleLink w:val='Legal'/>")
    styles = "<w:style w:type='numbering' w:styleId='Legal'><w:pPr><w:numPr><w:numId w:val='2'/></w:numPr></w:pPr></w:style>"
    assert lines(item("a") + item("b", num_id=2), numbering + num(1, 0) + num(2, 1), styles) == ["§1 a", "§2 b"]


def test_numbers_in_tables_in_the_order_of_reading():
    table = f"<w:tbl><w:tr><w:tc>{item('b')}</w:tc><w:tc>{item('c')}</w:tc></w:tr></w:tbl>"
    assert lines(item("a") + table + item("d"), LEGAL) == ["1. a", "2. b\t3. c", "4. d"]


def test_paragraphs_that_are_deleted_or_hidden_have_no_number():
    gone = "<w:rPr><w:del w:id='1'/></w:rPr>"
    body = item("a") + item("<w:del><w:r><w:delText>x</w:delText></w:r></w:del>", more=gone) + item("b")
    assert lines(body, LEGAL) == ["1. a", "2. b"]
    assert lines(item("<w:r><w:rPr><w:vanish/></w:rPr><w:t>x</w:t></w:r>", more="<w:rPr><w:vanish/></w:rPr>") + item("b"), LEGAL) == [
        "1. b"
    ]


def test_a_heading_that_runs_into_its_text_keeps_its_number():
    assert lines(item("Term.", more="<w:rPr><w:vanish/><w:specVanish/></w:rPr>") + paragraph(" Two years.") + item("b"), LEGAL) == [
        "1. Term. Two years.",
        "2. b",
    ]


def test_empty_paragraphs_count_and_show_nothing():
    assert lines(item("a") + item("<w:r/>") + item("b"), LEGAL) == ["1. a", "", "3. b"]


def test_numbers_before_a_change_do_not_count():
    old = "<w:pPrChange w:id='1'><w:pPr><w:numPr><w:ilvl w:val='0'/><w:numId w:val='1'/></w:numPr></w:pPr></w:pPrChange>"
    assert lines(paragraph("a", old) + item("b"), LEGAL) == ["a", "1. b"]


NUMBERS = {
    "lowerLetter": {1: "a", 26: "z", 27: "aa", 53: "aaa"},
    "upperLetter": {28: "BB"},
    "lowerRoman": {4: "iv", 9: "ix", 1994: "mcmxciv"},
    "upperRoman": {48: "XLVIII"},
    "decimalZero": {0: "00", 7: "07", 12: "12"},
    "ordinal": {1: "1st", 2: "2nd", 3: "3rd", 11: "11th", 112: "112th", 23: "23rd"},
    "cardinalText": {1: "One", 21: "Twenty-one", 40: "Forty", 100: "100"},
    "ordinalText": {1: "First", 12: "Twelfth", 20: "Twentieth", 32: "Thirty-second"},
    "decimalEnclosedCircle": {1: "①", 20: "⑳", 21: "21"},
    "decimalFullWidth": {10: "１０"},
    "chineseCounting": {1: "一", 10: "十", 11: "十一", 20: "二十", 105: "一百〇五", 1000: "一千"},
    "russianLower": {1: "а", 3: "в"},
    "chicago": {1: "*", 5: "**"},
    "numberInDash": {3: "- 3 -"},
    "none": {5: ""},
    "unheard of": {5: "5", 0: "0"},
    "0001, 0002": {12: "0012"},
}


@pytest.mark.parametrize("number_format", NUMBERS)
def test_number_formats(number_format):
    expected = NUMBERS[number_format]
    assert {number: number_text(number, number_format) for number in expected} == expected


@pytest.mark.parametrize("number_format", [*NUMBERS, "hex", "upperRoman"])
def test_a_huge_start_makes_no_huge_number(number_format):
    assert all(len(number_text(number, number_format)) < 100 for number in (-5, 10**6, 10**9, 2**63))
