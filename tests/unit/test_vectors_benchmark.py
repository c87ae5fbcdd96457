"""The benchmark of stored vectors: its document says what its result file says, and its needles are where they should be."""

import json
from collections import Counter

import pytest

from benchmarks import pipeline
from benchmarks.quality import CITIES, DEPTHS, DOCUMENTS, HAYSTACK, NEEDLE, needle_cases
from benchmarks.vectors import DOCS, END, FORMATS, RESULT, START, docs_block, measure
from lloco_core.compressor import load_encoder


def test_the_document_has_the_figures_of_the_result_file():
    assert DOCS.read_text().split(START)[1].split(END)[0].strip() == docs_block()


def test_the_encode_stages_figures_are_those_of_its_result_files():
    assert pipeline.DOCS.read_text().split(pipeline.START)[1].split(pipeline.END)[0].strip() == pipeline.docs_block()


def test_the_result_file_is_of_all_formats_and_enough_cases():
    result = json.loads(RESULT.read_text())
    assert [row["format"] for row in result["formats"]] == list(FORMATS)
    assert result["needles"]["cases"] == DOCUMENTS * len(DEPTHS) >= 60
    assert len(result["documents"]["names"]) == DOCUMENTS
    assert result["formats"][0]["relative_error_max"] == 0  # the store changes no bit of 16-bit vectors


def test_needles_stand_at_ends_of_sentences_at_their_depths():
    encoder = load_encoder("reference")
    text = "A sentence of some words. Another one! " * 400
    cases = needle_cases({str(number): text for number in range(DOCUMENTS)}, encoder)
    whole = len(text[: encoder.tokenize(text)[1][HAYSTACK - 1, 1]])
    assert Counter(case.city for case in cases).most_common()[-1][1] >= len(cases) // len(CITIES)
    assert len({case.name for case in cases}) == len(cases)
    for case, depth in zip(cases, DEPTHS * DOCUMENTS, strict=True):
        before, after = case.text.split(NEEDLE.format(city=case.city))
        assert before.rstrip(" ")[-1] in ".!" or not after
        assert len(before) == pytest.approx(depth * whole, abs=40)
        assert len(before + after) == pytest.approx(whole, abs=1)
    cities_at = {depth: {case.city for case, at in zip(cases, DEPTHS * DOCUMENTS, strict=True) if at == depth} for depth in DEPTHS}
    assert all(len(cities) > 1 for cities in cities_at.values())  # no depth is tied to one city


def test_a_folder_with_too_little_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("too short")
    with pytest.raises(SystemExit, match=f"0 documents have 3584 tokens or more, {DOCUMENTS} are needed"):
        measure(tmp_path)
