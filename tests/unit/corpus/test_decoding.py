"""Encodings and the normal form. Run: pytest tests/unit/corpus/test_decoding.py"""

from __future__ import annotations

import os

import pytest

from lloco_core.corpus.decoding import decode_text, normalise_text
from lloco_core.corpus.reasons import Rejected

FRENCH = "Le café est fermé à cause de la fête de Noël, désolé."
POLISH = "Zażółć gęślą jaźń, proszę państwa."
RUSSIAN = "Привет, как дела? Сегодня хорошая погода."
JAPANESE = "日本語のテキストです。これは試験です。"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "utf-8"),
        (FRENCH, "utf-8-sig"),
        (FRENCH, "utf-16"),
        (JAPANESE, "utf-16"),
        (FRENCH, "utf-32"),
        (FRENCH, "latin-1"),
        ("café", "latin-1"),
        ("It’s a “quoted” text… with – dashes", "cp1252"),
        (POLISH, "cp1250"),
        (RUSSIAN, "cp1251"),
        (JAPANESE, "shift_jis"),
    ],
)
def test_encodings_are_found(text, encoding):
    assert decode_text(text.encode(encoding)) == text


def test_utf16_big_endian_mark():
    assert decode_text(b"\xfe\xff" + RUSSIAN.encode("utf-16-be")) == RUSSIAN


def test_declared_encoding_comes_before_statistics_but_after_utf8():
    greek = "νέο"
    assert decode_text(greek.encode("iso8859-7"), declared="iso-8859-7") == greek
    assert decode_text(greek.encode("utf-8"), declared="latin-1") == greek
    assert decode_text(FRENCH.encode("latin-1"), declared="no-such-encoding") == FRENCH


def test_a_few_broken_bytes_do_not_turn_utf8_into_another_encoding():
    data = RUSSIAN.encode() + b"\xff" + RUSSIAN.encode()[:-2]
    assert decode_text(data).startswith(RUSSIAN + "\ufffd" + RUSSIAN[:-2])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary"),
        (b"\x01\x02\x03\x04text" * 50, "binary"),
        (bytes(byte for byte in os.urandom(40_000) if byte), "undecodable"),
        (b"\xff\xfe" + b"\x00\xdc" * 100, "undecodable"),
    ],
)
def test_what_is_not_text_is_rejected(data, reason):
    with pytest.raises(Rejected) as raised:
        decode_text(data)
    assert raised.value.reason == reason


def test_normal_form():
    assert normalise_text("e\u0301\r\nb\rc\x0cd\u0085e") == "é\nb\nc\nd\ne"
    assert normalise_text("a\x00\x1b[1mb\x1b]0;title\x07\x1b[\x7f\t\u200bc\ufeff") == "ab[\t\u200bc\ufeff"
    assert normalise_text("x\ud800y\ud83d\ude00") == "x\ufffdy😀"


@pytest.mark.parametrize("text", ["</s> <s>[INST] <|endoftext|> &amp; <b>", "  a  b \n\n\n c ", "“quotes” ﬁ ½ …", "\u2028 \u00a0"])
def test_nothing_else_is_altered(text):
    assert normalise_text(text) == text


def test_normalising_twice_changes_nothing():
    once = normalise_text("e\x00\u0301 a\r\u0085\r\nq\u0323\u0307")
    assert normalise_text(once) == once
