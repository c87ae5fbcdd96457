"""What a PDF shows beside its text layer, and layers that are no language. Run: pytest tests/unit/corpus/test_pdf_layers.py"""

from __future__ import annotations

import random
from base64 import b64encode

import pytest

from lloco_core.corpus.formats.text_layer import is_language
from tests.unit.corpus.pdf_builder import drawing, pdf, stream, words

NAME = words((50, 700, "Surname:"), (50, 650, "Below the form"))
FORM = "/AcroForm << /Fields [10 0 R] /NeedAppearances true >>"
LONG = "The pumps of the harbour were replaced in March, and the pressure in the line rose to twelve bar within an hour. " * 3


def field(entries: str, rectangle: str = "100 695 300 715") -> str:
    return f"<< /Type /Annot /Subtype /Widget /T (f) /Rect [{rectangle}] {entries} >>"


def note(entries: str) -> str:
    return f"<< /Type /Annot /Rect [100 600 300 620] {entries} >>"


def text_of(parse, data: bytes) -> str:
    (document,) = parse("a.pdf", data)
    return document.text


VALUES = {
    "text": (field("/FT /Tx /V (Exampleson)"), "Exampleson"),
    "utf-16": (field("/FT /Tx /V <FEFF0141006F017A>"), "Łoź"),
    "choice": (field("/FT /Ch /Opt [[(de) (Germany)] [(fr) (France)]] /V (fr)"), "France"),
    "plain choice": (field("/FT /Ch /Opt [(Red) (Blue)] /V (Blue)"), "Blue"),
    "check box": (field("/FT /Btn /V /Agreed /AS /Agreed"), "Agreed"),
    "button without a state": (field("/FT /Btn /V /Agreed"), "Agreed"),
    "button by index": (field("/FT /Btn /Ff 32768 /V /1 /AS /1 /Opt [(Monthly) (Yearly)]"), "Yearly"),
    "drawn only": (field("/FT /Tx /AP << /N 11 0 R >>"), "In the drawing"),
    "signature": (field("/FT /Sig /V << /Type /Sig >> /AP << /N 11 0 R >>"), "In the drawing"),
}


@pytest.mark.parametrize("case", VALUES)
def test_the_value_of_a_field_stands_behind_its_label_once(parse, case):
    widget, value = VALUES[case]
    data = pdf(NAME, widget, drawing("In the drawing"), page="/Annots [10 0 R]", catalog=FORM)
    assert text_of(parse, data) == f"Surname: {value}\nBelow the form"


UNSEEN = {
    "off": "/FT /Btn /V /Off /AS /Off",
    "hidden": "/FT /Tx /V (secret) /F 2",
    "password": "/FT /Tx /V (secret) /Ff 8192",
    "push button": "/FT /Btn /Ff 65536 /AP << /N 11 0 R >>",
    "empty": "/FT /Tx /V ()",
    "broken": "/FT /Tx /V 99 0 R /Parent 10 0 R",
}


@pytest.mark.parametrize("case", UNSEEN)
def test_what_a_field_does_not_show_is_no_text(parse, case):
    data = pdf(NAME, field(UNSEEN[case]), drawing("Send"), page="/Annots [10 0 R]", catalog=FORM)
    assert text_of(parse, data) == "Surname:\nBelow the form"


def test_fields_with_kids_inherit_and_stand_where_their_kids_do(parse):
    parent = "<< /FT /Tx /T (name) /V (Exampleson) /Kids [11 0 R 12 0 R] >>"
    kids = [f"<< /Type /Annot /Subtype /Widget /Parent 10 0 R /Rect [{place}] >>" for place in ("100 695 300 715", "100 645 300 665")]
    radio = "<< /FT /Btn /Ff 32768 /T (pay) /V /Cash /Kids [14 0 R 15 0 R] >>"
    choices = [
        f"<< /Type /Annot /Subtype /Widget /Parent 13 0 R /AS {state} /Rect [100 {y} 110 {y + 10}] >>"
        for y, state in ((595, "/Off"), (575, "/Cash"))
    ]
    data = pdf(NAME, parent, *kids, radio, *choices, page="/Annots [11 0 R 12 0 R 14 0 R 15 0 R]", catalog=FORM)
    assert text_of(parse, data) == "Surname: Exampleson\nBelow the form\nCash"


@pytest.mark.parametrize("drawn", [(50, 700, "Surname: Exampleson"), (102, 698, "Exampleson")])
def test_a_flattened_value_is_not_doubled(parse, drawn):
    data = pdf(words((50, 750, "Form"), drawn), field("/FT /Tx /V (Exampleson)"), page="/Annots [10 0 R]", catalog=FORM)
    assert text_of(parse, data).count("Exampleson") == 1


def test_a_value_that_stands_elsewhere_on_the_page_is_kept(parse):
    content = words((50, 750, "Choose a number from 1 to 12"), (50, 700, "Number:"))
    assert "Number: 12" in text_of(parse, pdf(content, field("/FT /Tx /V (12)"), page="/Annots [10 0 R]", catalog=FORM))


def test_a_page_of_fields_alone_is_no_scan(parse):
    lower = field("/FT /Tx /V (Second)", "100 600 300 620").replace("(f)", "(g)")
    data = pdf("q Q", lower, field("/FT /Tx /V (First)"), page="/Annots [10 0 R 11 0 R]", catalog=FORM)
    assert text_of(parse, data).split() == ["First", "Second"]


NOTES = {
    "free text": ("/Subtype /FreeText /Contents (The limit is twelve bar)", "The limit is twelve bar"),
    "free text drawn only": ("/Subtype /FreeText /AP << /N 11 0 R >>", "APPROVED"),
    "stamp": ("/Subtype /Stamp /Contents (a comment on the stamp) /AP << /N 11 0 R >>", "APPROVED"),
    "comment": ("/Subtype /Text /Contents (check this)", None),
    "highlight": ("/Subtype /Highlight /Contents (check this)", None),
    "popup": ("/Subtype /Popup /Contents (check this)", None),
    "link": ("/Subtype /Link /Contents (check this)", None),
}


@pytest.mark.parametrize("case", NOTES)
def test_notes_on_the_page_are_text_and_comments_about_it_are_not(parse, case):
    entries, shown = NOTES[case]
    data = pdf(NAME, note(entries), drawing("APPROVED"), page="/Annots [10 0 R]")
    assert text_of(parse, data) == "Surname:\nBelow the form" + (f"\n{shown}" if shown else "")


def test_one_broken_annotation_costs_neither_page_nor_the_others(parse):
    broken = "<< /Type /Annot /Subtype /FreeText /Rect [1 2] /Contents [1] /AP << /N 5 >> /F (x) >>"
    data = pdf(NAME, broken, note("/Subtype /FreeText /Contents (kept)"), page="/Annots [99 0 R 10 0 R 7 11 0 R]")
    assert text_of(parse, data).split() == ["Surname:", "Below", "the", "form", "kept"]


XFA = """<xdp:xdp xmlns:xdp="http://ns.adobe.com/xdp/"><template xmlns="http://www.xfa.org/schema/xfa-template/3.3/"><subform name="form">
<draw><value><text>Application</text></value></draw>
<field name="surname"><caption><value><text>Surname:</text></value></caption></field>
<field name="year"><caption><value><text>Year:</text></value></caption><value><integer>1999</integer></value></field></subform></template>
<xfa:datasets xmlns:xfa="http://www.xfa.org/schema/xfa-data/1.0/"><xfa:data><form><surname>Exampleson</surname><other>Kept</other></form>
</xfa:data></xfa:datasets></xdp:xdp>"""


@pytest.mark.parametrize("packets", ["10 0 R", "[(template) 10 0 R (end) 11 0 R]"])
def test_a_form_of_xfa_alone_is_read_from_its_template_and_data(parse, packets):
    parts = (XFA, "") if packets == "10 0 R" else (XFA[:400], XFA[400:])
    catalog = f"/NeedsRendering true /AcroForm << /Fields [] /XFA {packets} >>"
    data = pdf(words((50, 700, "Please wait...")), *map(stream, parts), catalog=catalog)
    assert text_of(parse, data).splitlines() == ["Application", "Surname: Exampleson", "Year: 1999", "Kept"]


def test_a_form_that_has_pages_beside_xfa_is_read_from_its_pages(parse):
    catalog = FORM.replace("/Fields", "/XFA 11 0 R /Fields")
    data = pdf(NAME, field("/FT /Tx /V (Exampleson)"), stream(XFA), page="/Annots [10 0 R]", catalog=catalog)
    assert text_of(parse, data) == "Surname: Exampleson\nBelow the form"


def glyphs(name: str) -> str:
    names = " ".join(f"/{name.format(code)}" for code in range(10, 36))
    return f"<< /Type /Font /Subtype /Type1 /BaseFont /ABCDEF+Foo /Encoding << /Type /Encoding /Differences [97 {names}] >> >>"


@pytest.mark.parametrize("name", ["g{}", "G{:02X}", "C{:04d}", "cid{}", "glyph{}", "a{}"])
def test_glyph_names_are_no_text(parse, name):
    (rejection,) = parse("a.pdf", pdf(words((50, 700, "the pressure rises")), font=glyphs(name)))
    assert rejection.code == "pdf_no_text"
    assert "1 of them hold glyph names" in rejection.message


def shifted(text: str, by: int) -> str:
    return "".join(chr(ord(character) + by) for character in text)


LANGUAGES = {
    "en": LONG,
    "de": "Die Pumpen des Hafens wurden im März erneuert, und der Druck in der Leitung stieg binnen einer Stunde auf zwölf Bar. " * 3,
    "pl": "Pompy w porcie wymieniono w marcu, a ciśnienie w przewodzie wzrosło w ciągu godziny do dwunastu barów, jak zapisano. " * 3,
    "fi": "Sataman pumput uusittiin maaliskuussa, ja linjan paine nousi tunnin aikana kahteentoista baariin kirjausten mukaan. " * 3,
    "tr": "Limanın pompaları mart ayında yenilendi ve hattaki basınç bir saat içinde on iki bara yükseldi, kayıtlara göre. " * 3,
    "cy": "Cafodd pympiau'r porthladd eu hadnewyddu ym mis Mawrth, a chododd y pwysau yn y llinell i ddeuddeg bar o fewn awr. " * 3,
    "vi": "Các máy bơm của cảng đã được thay thế vào tháng ba và áp suất trong đường ống tăng lên mười hai bar trong một giờ. " * 3,
    "sw": "Pampu za bandari zilibadilishwa mwezi Machi, na shinikizo kwenye bomba lilipanda hadi baa kumi na mbili ndani ya saa. " * 3,
    "ru": "Насосы в порту заменили в марте, и давление в линии за час поднялось до двенадцати бар. " * 3,
    "el": "Οι αντλίες του λιμανιού αντικαταστάθηκαν τον Μάρτιο και η πίεση ανέβηκε. " * 3,
    "zh": "港口的水泵在三月份更换,管线压力在一小时内升至十二巴。" * 9,
    "ar": "تم استبدال مضخات الميناء في شهر مارس وارتفع الضغط في الخط. " * 4,
    "code": "for (i = 0; i < n; i++) { x[i] = y[i] * 2; }\nreturn x;\n" * 6,
    "keys": b64encode(random.Random(1).randbytes(600)).decode(),
    "paths": "See /usr/share/doc/a1 and /etc/b2, dated 12/10/2020, sheet 1/A3.",
    "figures": "12.5 7/8 3/4 1/A3 99,000 EUR " * 20,
    "bullets": "\uf0b7 First point of the list\n\uf0b7 Second point of the list",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_and_figures_are_text(language):
    assert is_language(LANGUAGES[language])


@pytest.mark.parametrize("language", ["en", "de", "pl", "fi", "sw"])
@pytest.mark.parametrize("by", [-29, -31, 3])
def test_shifted_letters_are_no_text(language, by):
    plain = LANGUAGES[language].encode("ascii", "ignore").decode()
    assert not is_language(shifted(plain, by))


NO_TEXT = {
    "private use": "\uf041\uf042 \uf043" * 20,
    "replacements": "\ufffd\ufffd\ufffd of \ufffd\ufffd\ufffd\ufffd" * 5,
    "codes": "\x01\x02\x03 \x04\x05",
    "cids": "(cid:12)(cid:13) (cid:14)",
    "cids without brackets": "cid:12 cid:13 cid:14",
    "not defined": "/.notdef/.notdef/.notdef",
    "Cyrillic as Western": LANGUAGES["ru"].encode("cp1251").decode("cp1252", "ignore"),
    "Greek as Western": LANGUAGES["el"].encode("iso8859-7", "ignore").decode("latin-1"),
    "blank": " \n\t",
}


@pytest.mark.parametrize("case", NO_TEXT)
def test_what_has_no_way_back_to_characters_is_no_text(case):
    assert not is_language(NO_TEXT[case])


def test_pages_without_text_are_counted_and_their_share_is_bounded(parse):
    data = pdf([words((50, 700, "Typed page")), "q Q", "0 0 10 10 re f"])
    (document,) = parse("a.pdf", data, {"author": "A"})
    assert (document.metadata, document.page_starts, document.text) == (
        {"author": "A", "pages_without_text": 2},
        (0, 12, 14),
        "Typed page\n\n\n\n",
    )
    assert parse("a.pdf", data, max_empty_pages=0.7)[0].text == document.text
    (rejection,) = parse("a.pdf", data, max_empty_pages=0.5)
    assert rejection.code == "pdf_no_text"
    assert "2 of its 3 pages have no text layer, more than corpus.max_empty_pages 0.5" in rejection.message
    assert "pages_without_text" not in parse("a.pdf", pdf(NAME))[0].metadata


def test_a_page_of_glyph_names_among_others_is_left_out_and_counted(parse):
    content = ["BT /F1 12 Tf 50 700 Td (bcd bcd) Tj ET", "BT /F2 12 Tf 50 700 Td (Readable) Tj ET"]
    data = pdf(content, font=glyphs("g{}")).replace(b"/F1 3 0 R", b"/F1 3 0 R /F2 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    (document,) = parse("a.pdf", data)
    assert (document.text, document.metadata) == ("\n\nReadable", {"pages_without_text": 1})
