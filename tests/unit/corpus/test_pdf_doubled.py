"""Lines drawn twice, and fonts that know some of their characters. Run: pytest tests/unit/corpus/test_pdf_doubled.py"""

from __future__ import annotations

import pytest

from lloco_core.corpus.formats.pdf_doubled import once
from tests.unit.corpus.pdf_builder import pdf, words


@pytest.mark.parametrize("beside", [0, 0.3, 0.5])
def test_a_heading_drawn_twice_is_there_once(parse, beside):
    drawn = words((72, 700, "Pumps of the harbour"), (72 + beside, 700, "Pumps of the harbour"), (72, 660, "They were replaced."))
    assert parse("a.pdf", pdf(drawn))[0].text.split("\n") == ["Pumps of the harbour", "They were replaced."]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("TTeerrmmss  ooff  uussee", "Terms of use"),
        ("Terms of useTerms of use", "Terms of use"),
        ("1122334455", "1122334455"),
        ("--------", "--------"),
        ("hahahaha", "hahahaha"),
        ("12.5012.50", "12.5012.50"),
        ("bookkeeper", "bookkeeper"),
        ("Baden-Baden", "Baden-Baden"),
        ("yes yes", "yes yes"),
    ],
)
def test_only_words_of_which_all_are_there_twice(line, kept):
    assert once(f"a\n{line}\nb") == f"a\n{kept}\nb"


NAMED = "<< /Type /Font /Subtype /Type1 /BaseFont /X /Encoding << /Type /Encoding /Differences [{}] >> >>"


@pytest.mark.parametrize("differences", ["32 /g1 97 /g97 101 /g101", "32 /glyph1 111 /glyph47", "32 /gid00003 101 /gid00072 115 /gid00086"])
def test_a_font_that_names_some_of_its_characters_is_no_text(parse, differences):
    line = words((72, 700, "The pressure in the lines rose to twelve bar"), (72, 680, "and the gates were open until noon"))
    (rejection,) = parse("a.pdf", pdf(line, font=NAMED.format(differences)))
    assert rejection.code == "pdf_no_text"


def test_paths_are_no_names_of_characters(parse):
    (document,) = parse("a.pdf", pdf(words((72, 700, "Call /v1/users and /g1/list, then /v2/users/12 as the manual says"))))
    assert "/g1/list" in document.text
