"""Labels, damaged UTF-8, escapes, detection, and what is stated. Run: pytest tests/unit/corpus/test_encodings.py"""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks import encodings as matrix
from benchmarks.encoding_texts import TEXTS
from lloco_core.config import CorpusConfig
from lloco_core.corpus.charsets.declared import declared_label
from lloco_core.corpus.charsets.labels import codec_of
from lloco_core.corpus.decoding import decode_text
from lloco_core.corpus.formats import parse_object
from lloco_core.corpus.reasons import Rejected
from lloco_core.corpus.sources import list_corpus
from lloco_core.errors import ConfigurationError
from lloco_core.options import parse_options
from lloco_core.types import SourceObject

CZECH, RUSSIAN, ENGLISH, JAPANESE = (TEXTS[name] for name in ("Czech", "Russian", "English", "Japanese"))
NOBODY_USES = {"cp1257": {"Polish", "Croatian"}, "utf-7": set(TEXTS)}
"""Letters of these are read wrongly; docs/encodings.md says so."""
OWN = {"cp932": {"Japanese"}, "euc_jp": {"Japanese"}, "gb18030": {"Chinese"}, "big5": {"Chinese (traditional)"}, "cp949": {"Korean"}}


def read(name: str, data: bytes, **options: object) -> str:
    (found,) = parse_object(data, SourceObject(f"file:///c/{name}", "e1", len(data), name), CorpusConfig(uri="/c", **options))
    return found.text if hasattr(found, "text") else f"<{found.code}: {found.message}>"


def test_the_page_says_what_the_result_file_says():
    block = matrix.DOCS.read_text().split(matrix.START)[1].split(matrix.END)[0].strip()
    assert block == matrix.docs_block()


def test_no_text_of_the_matrix_is_stored_as_garbage_and_most_are_exact():
    """The whole matrix. Of all characters at least half are right, whatever is stored; of those beyond ASCII too, unless nobody uses the
    encoding for the language."""
    outcomes = {case: matrix.outcome(case) for case in matrix.cases()}
    wrong = [case for case, found in outcomes.items() if found in ("garbage", "mostly")]
    assert [case for case in wrong if matrix.share_of_all_right(case.text, decode_text(case.data)) < 0.5] == []
    used = [case for case in outcomes if case.language in set(OWN.get(case.encoding, TEXTS)) - NOBODY_USES.get(case.encoding, set())]
    assert [case for case in used if outcomes[case] == "garbage"] == []
    assert Counter(outcomes[case] for case in used)["exact"] > 0.9 * len(used)


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("latin1", "cp1252"),
        (" US-ASCII ", "cp1252"),
        ("iso-8859-9", "cp1254"),
        ("gb2312", "gb18030"),
        ("ks_c_5601-1987", "cp949"),
        ("shift_jis", "cp932"),
        ("koi8-u", "koi8-u"),
        ("macintosh", "mac-roman"),
        ("x-user-defined", "cp1252"),
        ("iso-8859-11", "cp874"),
        ("cp852", "cp852"),
        ("hz-gb-2312", "hz"),
        ("no-such", None),
        ("base64", None),
        ("punycode", None),
        ("", None),
    ],
)
def test_labels_mean_what_browsers_make_of_them(label, codec):
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    ("head", "encoding", "words"),
    [
        ('<meta charset="ISO-8859-1">', "cp1252", "“Smart” – quotes, 5 €"),
        ('<meta http-equiv=Content-Type content="text/html; charset=iso-8859-9">', "cp1254", "“Eğer” – 5 €"),
        ('<?xml version="1.0" encoding="us-ascii"?>', "cp1252", "it’s – “odd”"),
        ('<meta charset="utf-16">', "utf-8", "Žluťoučký kůň"),
        ("<!-- <meta charset=koi8-r> --><meta charset=windows-1251>", "cp1251", "Дом"),
        ("<script>var a = '<meta charset=koi8-r>'</script><meta charset=windows-1251>", "cp1251", "Дом"),
        ("<title>" + "x" * 3000 + "</title><meta charset=windows-1253>", "cp1253", "νέο"),
        ("<meta charset=no-such><meta charset=gb2312>", "gb18030", "港口的水泵 €"),
    ],
)
def test_a_page_is_read_as_it_declares(head, encoding, words):
    assert read("a.html", f"{head}<body><p>{words}</p>".encode(encoding)).strip() == words


def test_a_declaration_that_gives_nonsense_is_not_believed():
    for label in ("windows-1252", "iso-8859-1", "utf-8", "shift_jis"):
        assert read("a.html", f"<meta charset={label}><p>{RUSSIAN}</p>".encode("cp1251")).strip() == RUSSIAN
    assert read("a.html", ("\ufeff<meta charset=latin1><p>" + CZECH).encode("utf-16")).strip() == CZECH


def test_a_declaration_is_not_looked_for_in_text():
    assert declared_label(b"<p>the charset is unknown</p>") is None
    assert declared_label(b"<meta name=description content='charset=koi8-r'>") is None


@pytest.mark.parametrize(
    "data",
    [
        ENGLISH.encode()[:50] + b"\xe2\x80" + ENGLISH.encode()[70:],
        b"nine hundred and five \xe2\x82",
        b"nine hundred and five \xf0\x9f\x98",
        "Café, café, café. ".encode() + b"na\xefve",
        "“hello” to ".encode() + "“them”".encode("cp1252"),
        "Café — ".encode() + b"\xff and more",
        b"CESU \xed\xa0\xbd\xed\xb8\x80 emoji",
        RUSSIAN.encode()[1:],
        (CZECH.encode() + b"\x9d\x81") * 3,
    ],
)
def test_damaged_utf8_stays_utf8(data):
    text = decode_text(data)
    assert "\ufffd" in text
    assert set(text) <= set(data.decode("utf-8", "replace"))


@pytest.mark.parametrize("encoding", ["cp1250", "cp1251", "cp866", "koi8-u", "cp855", "euc_jp", "cp1253", "mac-latin2"])
def test_other_encodings_are_not_read_as_utf8_with_holes(encoding):
    language = (
        "Russian"
        if encoding in ("cp1251", "cp866", "koi8-u", "cp855")
        else {"euc_jp": "Japanese", "cp1253": "Greek"}.get(encoding, "Czech")
    )
    for start in range(4):
        try:
            assert "\ufffd" not in decode_text(matrix.piece_of(TEXTS[language], start, 60).encode(encoding))
        except Rejected as rejected:
            assert rejected.reason == "undecodable"


@pytest.mark.parametrize("encoding", ["iso2022_jp", "iso2022_jp_2", "iso2022_jp_ext", "iso2022_kr", "hz", "utf-7"])
def test_escape_encodings_are_decoded(encoding):
    text = TEXTS[{"iso2022_kr": "Korean", "hz": "Chinese"}.get(encoding, "Japanese")]
    assert decode_text(text.encode(encoding)) == text
    assert decode_text(b"plain ASCII before it\n" * 5000 + text.encode(encoding)).endswith(text)


@pytest.mark.parametrize("data", [b"\x1b$)A\x0eVPND\x0f is ISO-2022-CN", b"\x1b$BA", "é".encode() * 9 + b" \x1b$B9A$N\x1b(B"])
def test_escapes_that_cannot_be_decoded_are_refused(data):
    with pytest.raises(Rejected) as raised:
        decode_text(data)
    assert raised.value.reason == "undecodable"


@pytest.mark.parametrize(
    "text",
    ["a ~{ b ~} c", "C++20 and +1 555 0100, a+b-c", "\x1b[1mbold letters of a terminal\x1b(B", "x+ABCDEF+y", "Figure~{3}", "+491234-5678"],
)
def test_ascii_is_ascii(text):
    assert decode_text(text.encode()) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark(encoding):
    for language in ("English", "Russian", "Thai", "Greek"):
        assert decode_text(TEXTS[language].encode(encoding)) == TEXTS[language]
    with pytest.raises(Rejected):
        decode_text(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)))


def test_a_late_character_of_a_long_file_is_seen():
    data = b"Nothing but plain words on this line.\n" * 20_000 + CZECH.encode("cp1250")
    assert decode_text(data).endswith(CZECH)


def test_two_likely_readings_are_refused_by_name():
    with pytest.raises(Rejected) as raised:
        decode_text("Straße 5".encode("cp1252"))
    assert "cp1252 ('Straße 5')" in raised.value.message
    assert "corpus.encoding" in raised.value.message


@pytest.mark.parametrize("name", ["a.txt", "b/c.md", "a.html", "a.jsonl"])
def test_the_stated_encoding_holds(name):
    words = "Łódź, Žďár"
    shape = {"a.html": "<meta charset=latin1><p>{}</p>", "a.jsonl": '{{"text": "{}"}}'}.get(name, "{}")
    for encoding, stated in (("cp852", "IBM852"), ("cp1250", {"*.none": "cp037", "**": "windows-1250"}), ("utf-16-le", "utf-16le")):
        assert read(name, shape.format(words).encode(encoding), encoding=stated).strip() == words
    marked = shape.format(words).encode("utf-8-sig")
    assert read(name, marked, encoding="cp852").strip() == words
    assert read("x.txt", CZECH.encode(), encoding="cp852") == CZECH, "UTF-8 beyond doubt"
    assert read("x.txt", CZECH.encode("cp1250"), encoding="gb18030").startswith("<undecodable: is not in gb18030")


def test_a_label_is_checked_with_the_configuration():
    common = ["--corpus.uri", "/c", "--store.uri", "/s"]
    assert parse_options([*common, "--corpus.encoding", "windows-1250"]).corpus.encoding == "windows-1250"
    assert parse_options([*common, "--corpus.encoding", "old/**=cp852"]).corpus.encoding == {"old/**": "cp852"}
    for wrong in ("windows-9999", "old/**=base64"):
        with pytest.raises(ConfigurationError, match="names no character encoding"):
            parse_options([*common, "--corpus.encoding", wrong])


def test_another_stated_encoding_is_a_change_of_text_only(tmp_path):
    for name in ("a.txt", "b.pdf", "c.jsonl.gz"):
        (tmp_path / name).write_bytes(b"x")

    def etags(encoding):
        return {source.relative_path: source.etag for source in list_corpus(CorpusConfig(uri=str(tmp_path), encoding=encoding))}

    plain, latin, dos = etags(None), etags("latin1"), etags({"a.*": "cp852"})
    assert [name for name in plain if plain[name] != latin[name]] == ["a.txt", "c.jsonl.gz"]
    assert [name for name in plain if plain[name] != dos[name]] == ["a.txt"]
    assert etags("windows-1252") == latin


LOG = "Started pump 4 at the eastern quay of the harbour\r\n"


@pytest.mark.parametrize(
    "data",
    [
        LOG.encode("utf-16") + LOG.encode() * 3,
        (LOG * 40).encode("utf-16") + LOG.encode(),
        LOG.encode("utf-16-be") * 9 + LOG.encode() * 2,
        "\ufeff".encode("utf-16-le") + LOG.encode(),
        "Größe: über 5 m\r\n".encode() * 9 + LOG.encode("utf-16"),
    ],
)
def test_files_of_two_encodings_do_not_become_chinese(data):
    assert read("a.log", data).startswith(("<undecodable", "<binary"))


@pytest.mark.parametrize("language", ["Chinese", "Japanese", "Korean", "English", "Russian", "Thai"])
def test_utf_16_of_one_language_is_not_taken_for_two(language):
    assert read("a.txt", (TEXTS[language] * 20).encode("utf-16")) == TEXTS[language] * 20


def test_colours_of_a_terminal_are_no_text():
    data = b"\x1b]0;make\x07\x1b[1;31mError:\x1b[0m valve \x1b[38;5;12m7\x1b[K is open\n"
    assert read("a.log", data) == "Error: valve 7 is open\n"
