"""E-books. Run: pytest tests/unit/corpus/test_books.py"""

from __future__ import annotations

import pytest

from tests.harmful_files import zipped

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="{}"/></rootfiles></container>'
)
HTML = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'
LOCK = '<encryption xmlns="urn:o"><EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherReference URI="{}"/>'
LOCK += "</CipherData></EncryptedData></encryption>"


def book(chapters: dict[str, str | bytes], spine: list[str] | None = None, items: str = "", opf: str = "O/b.opf", **more: str) -> bytes:
    folder = opf.rpartition("/")[0]
    listed = "".join(f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters))
    order = "".join(f'<itemref idref="{name}"/>' for name in spine or [f"i{n}" for n in range(len(chapters))])
    content = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Tales</dc:title>'
    )
    content += f"</metadata><manifest>{listed}{items}</manifest><spine>{order}</spine></package>"
    parts = {f"{folder}/{name}".lstrip("/").replace("%20", " "): page for name, page in chapters.items()}
    return zipped({"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER.format(opf), opf: content, **parts, **more})


def test_chapters_in_the_order_of_the_spine_without_the_contents(parse):
    nav = '<item id="n" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
    chapters = {"b.xhtml": HTML.format("<p>Second</p>"), "a%20one.xhtml": HTML.format("<h1>One</h1><p>First</p>")}
    (document,) = parse("a.epub", book(chapters, ["n", "i1", "i0", "i1"], nav, **{"O/nav.xhtml": HTML.format("<nav>Contents</nav>")}))
    assert (document.text, document.title) == ("One\nFirst\n\nSecond", "Tales")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>caf&eacute;&nbsp;bar &amp; more &#8212; x</p>", "café bar & more — x"),
        ("<p>one<br/>two</p><div>three <i>four</i></div>", "one\ntwo\nthree four"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>", "a\tb\nc\td"),
        ("<pre>x = 1\n  y = 2</pre>", "x = 1\ny = 2"),
        ("<script>no</script><style>no</style><p>yes<a id='x'/> and</p>", "yes and"),
        ("<p>not closed<p>again", "not closed\nagain"),
        ("<p>Příliš 港口</p>", "Příliš 港口"),
    ],
)
def test_pages(parse, body, text):
    assert parse("a.epub", book({"c.xhtml": HTML.format(body)}))[0].text == text


def test_a_page_in_another_encoding_and_a_book_at_the_root(parse):
    page = HTML.format("<p>kůň</p>")
    assert parse("a.epub", book({"c.xhtml": page.encode("utf-16")}, opf="b.opf"))[0].text == "kůň"


@pytest.mark.parametrize(
    ("encoding", "text"), [("windows-1257", "Ąžuolas ir eglė"), ("windows-1251", "Ёж и уж"), ("iso-8859-2", "Žluťoučký kůň")]
)
def test_a_chapter_is_read_in_the_encoding_that_it_declares(parse, encoding, text):
    page = HTML.replace("utf-8", encoding).format(f"<p>{text}</p>")
    assert parse("a.epub", book({"c.xhtml": page.encode(encoding)}))[0].text == text


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (book({"c.xhtml": HTML.format("<p>x</p>")}, **{"META-INF/encryption.xml": LOCK.format("O/c.xhtml")}), "file_encrypted"),
        (book({}), "file_damaged"),
        (book({"c.xhtml": HTML.format("")}), "empty"),
        (
            book({"c.xhtml": HTML.format("x")}, items='<item id="g" href="gone.xhtml" media-type="text/html"/>', spine=["i0", "g"]),
            "file_damaged",
        ),
        (zipped({"mimetype": "application/epub+zip"}), "file_damaged"),
        (book({"c.xhtml": HTML.format("x")})[:-60], "file_damaged"),
        (b"words", "file_damaged"),
    ],
)
def test_what_is_no_readable_book_is_one_rejection(parse, data, code):
    assert [found.code for found in parse("a.epub", data)] == [code]


def test_encrypted_fonts_do_not_matter(parse):
    data = book({"c.xhtml": HTML.format("<p>words</p>")}, **{"META-INF/encryption.xml": LOCK.format("O/fonts/a.otf")})
    assert parse("a.epub", data)[0].text == "words"


def test_a_bomb_in_a_chapter_is_refused(parse):
    assert parse("a.epub", book({"c.xhtml": HTML.format("x" * 3_000_000)}), max_bytes=1_000_000)[0].code == "too_large_unpacked"
