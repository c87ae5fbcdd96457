r"""RTF: code pages, Unicode, tables, and what is no text. Run: pytest tests/unit/corpus/test_rtf.py"""

from __future__ import annotations

import pytest

from lloco_core.types import Rejection

FONTS = (
    r"{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fcharset238 Arial;}{\f2 Arial Cyr;}{\f3\fcharset128 MS Mincho;}{\f4\fnil\cpg1253 Times;}}"
)


def rtf(body: str, head: str = r"\ansi\ansicpg1252\deff0") -> bytes:
    return (r"{\rtf1" + head + FONTS + body + "}").encode("latin-1")


def coded(text: str, encoding: str) -> str:
    return "".join(rf"\'{byte:02x}" for byte in text.encode(encoding))


@pytest.mark.parametrize(
    ("font", "encoding", "text"),
    [
        (0, "cp1252", "Größe – “naïve”"),
        (1, "cp1250", "Příliš žluťoučký kůň"),
        (2, "cp1251", "Начальник порта"),
        (3, "cp932", "港の管理者は水門を開けた"),
        (4, "cp1253", "Ο λιμενάρχης"),
    ],
)
def test_every_font_has_its_code_page(parse, font, encoding, text):
    (document,) = parse("a.rtf", rtf(rf"\f{font} {coded(text, encoding)}\f0  end"))
    assert document.text == f"{text} end"


@pytest.mark.parametrize(
    ("head", "encoding", "text"),
    [
        (r"\ansi\ansicpg1250", "cp1250", "kůň"),
        (r"\ansi\ansicpg936", "gbk", "港口主管"),
        (r"\mac", "mac_roman", "Größe"),
        (r"\pc", "cp437", "Größe"),
        (r"\ansi\ansicpg65001", "utf-8", "kůň 港口"),
        (r"\ansi\ansicpg99999", "cp1252", "Größe"),
    ],
)
def test_every_file_has_its_code_page(parse, head, encoding, text):
    for body in (coded(text, encoding), text.encode(encoding).decode("latin-1")):
        assert parse("a.rtf", (r"{\rtf1" + head + " " + body + "}").encode("latin-1"))[0].text == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"\u268?\u367?\u-257?x", "Čů\ufeffx"),
        (r"{\uc2\u8364\'80\'80}{\uc0\u8364}1", "€€1"),
        (r"\u-10179?\u-9216?", "\U0001f400"),
        (r"{\upr{old}{\*\ud{n\u283?w}}}", "něw"),
        (r"a\~b\_c\-d\emdash e\line f\tab g\{\}\\", "a\u00a0b\u2011cd\u2014e\nf\tg{}\\"),
        ("first\\\nsecond", "first\nsecond"),
        (r"one{\v two}\v three\v0  four{\deleted five} six", "one four six"),
        (r"\trowd\cellx1 a\cell b\cell\row\trowd c\cell d\cell\row", "a\tb\nc\td"),
        (r"x{\field{\*\fldinst{HYPERLINK http}}{\fldrslt{ link}}} y", "x link y"),
        (r"x{\footnote note one} y{\footnote note two}", "x y\nnote one\nnote two"),
        (r"x{\pict\pngblip 89504e47}{\*\unknown words}{\header top}{\footer foot}{\*\annotation said} y", "x y"),
        (r"x{\pict\wmetafile8\bin5 }{\}\ } y", "x y"),
        (r"{\listtext 1.\tab}First\par{\pntext 2.\tab}Second", "1.\tFirst\n2.\tSecond"),
        (r"{\shp{\*\shpinst{\sp{\sn a}{\sv 1}}{\shptxt in a box\par}}{\shprslt in a box}} y", "in a box\n y"),
        (r"{\info{\title T}{\author A}}words", "words"),
        (r"{\f9 \u-3913?}bullet", "bullet"),
    ],
)
def test_control_words(parse, body, text):
    assert parse("a.rtf", rtf(body))[0].text == text


def test_the_title(parse):
    assert parse("a.rtf", rtf(r"{\info{\title P\'f8\u237?stav}{\subject no}}words", r"\ansi\ansicpg1250"))[0].title == "Přístav"


@pytest.mark.parametrize("name", ["a.rtf", "a.doc", "a.txt", "a.docx", "a.pdf"])
def test_rtf_is_read_under_other_suffixes(parse, name):
    assert (parse(name, rtf("words"))[0].text, parse(name, rtf("words"))[0].media_type) == ("words", "application/rtf")


@pytest.mark.parametrize(
    "data", [b"words", rtf("words")[:-1], b"{\\rtf1" + b"{" * 50_000, b"{\\rtf1 \\bin999999999 x}", b"{\\rtf1 {\\b words}"]
)
def test_what_is_no_whole_rtf_is_one_rejection(parse, data):
    (rejection,) = parse("a.rtf", data)
    assert isinstance(rejection, Rejection)
    assert rejection.code == "file_damaged"
