"""Shells of scripts, hidden and large parts, pages that an extractor loses words of. Run: pytest tests/unit/corpus/test_html_layers.py"""

from __future__ import annotations

import quopri

import pytest

LONG = "The pumps of the harbour were replaced in March, and the pressure in the line rose to twelve bar within an hour. " * 4
SCRIPT = "<script src='main.js'></script>"

SHELLS = {
    "noscript": f"<div id=root></div><noscript>You need to enable JavaScript to run this app.</noscript>{SCRIPT}",
    "noscript in Greek": f"<noscript><p>Ενεργοποιήστε τα σενάρια για να δείτε τη σελίδα.</p></noscript>{SCRIPT}",
    "notice in Chinese": f"<div id=app><p>请启用JavaScript来运行此应用。</p></div>{SCRIPT}",
    "notice in German": f"<main><h1>Einen Moment</h1><p>Bitte aktivieren Sie JavaScript und Cookies.</p></main>{SCRIPT}",
    "waiting": f"<div id=__next>Chargement…</div>{SCRIPT}",
    "consent only": f"<div id=onetrust-banner-sdk>Wir verwenden Cookies. Alle annehmen.</div><div id=root></div>{SCRIPT}",
    "consent by class": f"<section class='gdpr-cookie-notice'><p>Cookies?</p><button>Ja</button></section>{SCRIPT}",
    "template": "<template><p>Row</p></template>",
    "hidden": "<p hidden>a</p><div style='color: red; display:none'>b</div><span style='visibility: hidden'>c</span>",
    "frames": "<frameset><frame src=a.html><noframes>Your browser has no frames.</noframes></frameset>",
    "vector image": "<svg><text>label</text></svg>",
}


@pytest.mark.parametrize("case", SHELLS)
def test_a_page_without_its_scripts_is_no_document(parse, case):
    (rejection,) = parse("a.html", f"<html><head><title>App</title></head><body>{SHELLS[case]}</body></html>".encode())
    assert rejection.code == "html_no_text"


REAL = {
    "a recipe": "<div class='cookie-recipe'><h1>Cookies</h1><p>Butter, sugar, flour.</p></div>",
    "a short page about it": "<h1>JavaScript</h1><p>A language of the web.</p>",
    "a page about consent": "<article class=consent><p>Consent is given in writing.</p></article>",
    "short, in an application": f"<div id=app><h1>Opening hours</h1><p>Monday to Friday, nine to five, and on request.</p></div>{SCRIPT}",
    "found by searching": "<p hidden='until-found'>A folded answer.</p>",
    "anti-flicker": "<body style='visibility:hidden'><p>Shown by the script.</p></body>",
}


@pytest.mark.parametrize("case", REAL)
def test_pages_that_look_like_shells_are_read(parse, case):
    (document,) = parse("a.html", REAL[case].encode())
    assert document.text


def test_what_a_browser_does_not_show_is_not_read(parse):
    unseen = "<noscript>NO-SCRIPT</noscript><template>TEMPLATE</template><p hidden>ATTRIBUTE</p><div style='display : none'>STYLE</div>"
    banner = "<div class='cookie-banner'>COOKIES</div><dialog>DIALOG</dialog><!-- COMMENT -->"
    (document,) = parse("a.html", f"<base href='/x/'><article><p>{LONG}</p>{unseen}{banner}<p>The end.</p></article>{SCRIPT}".encode())
    assert document.text.split() == [*LONG.split(), "The", "end."]


@pytest.mark.parametrize(
    "place", ["<img src='data:image/png;base64,{}'>", "<p title='{}'>x</p>", "<style>{}</style>", "<svg><path d='{}'/></svg>"]
)
def test_text_behind_what_is_large_is_read(parse, place):
    page = f"<article><p>{LONG}</p>{place.format('A' * 11 * 2**20)}<p>Behind the image.</p></article>"
    (document,) = parse("a.html", page.encode())
    assert "Behind the image." in document.text
    assert "AAAA" not in document.text


LOSSES = {
    "a list of terms": ("<dl><dt>Bar</dt><dd>Unit of pressure</dd><dt>Pier</dt><dd>A landing stage</dd></dl>", ["Pier", "A landing stage"]),
    "a table": ("<table>" + "".join(f"<tr><td>Pump {n}</td><td>{n}00 EUR</td></tr>" for n in range(9)) + "</table>", ["Pump 8", "800 EUR"]),
    "code": ("<pre><code>def open(valve):\n    return valve + 1</code></pre>", ["    return valve + 1"]),
    "a code listing": (
        "<div class=listing><pre class=rust>fn main() {\n    let pressure = 12;\n}</pre></div>" * 3,
        ["    let pressure = 12;"],
    ),
    "behind an advertisement": (
        f"<div class=ad>Buy</div><h2>Second part</h2><p>{LONG.replace('pumps', 'valves')}</p>",
        ["Second part", "valves"],
    ),
    "several articles": (
        "".join(f"<article><h2>Story {n}</h2><p>Ship {n} came in.</p></article>" for n in range(9)),
        ["Story 8", "Ship 8"],
    ),
    "folded": ("<details><summary>More</summary><p>Folded text</p></details>", ["More", "Folded text"]),
    "a form": ("<form><label>Name <input value=Exampleson></label><textarea>A remark</textarea></form>" * 2, ["Exampleson", "A remark"]),
    "a definition in a box": ("<div class=box><b>Warning</b> Close the valve first.</div>" * 4, ["Close the valve first."]),
}


@pytest.mark.parametrize("around", ["<main>{}</main>", "<div class=content>{}</div>", "<article>{}</article>"])
@pytest.mark.parametrize("case", LOSSES)
def test_no_part_of_the_content_is_lost(parse, case, around):
    part, wanted = LOSSES[case]
    body = around.format(f"<h1>Report</h1><p>{LONG}</p>{part}<p>The end of it.</p>")
    page = f"<html><body><nav><a href=/>Home page</a></nav>{body}<footer>Imprint of the site</footer></body></html>"
    (document,) = parse("a.html", page.encode())
    assert [words for words in [*wanted, "The end of it."] if words not in document.text] == []
    assert not any(words in document.text for words in ("Home page", "Imprint of the site"))


@pytest.mark.parametrize(
    "head", ["<base href='/x/'>", "<title>T</title>", "<meta charset=utf-8><link rel=x href=y>", "<head><title>T</title>"]
)
def test_pages_that_leave_out_where_the_body_begins(parse, head):
    (document,) = parse("a.html", f"{head}<article><h1>Report</h1><p>{LONG}</p></article>".encode())
    assert document.text == f"Report\n{LONG.strip()}"


def test_the_words_of_a_page_are_there_once(parse):
    items = "".join(f"<li>Rule number {n} of the harbour</li>" for n in range(40))
    (document,) = parse("a.html", f"<article><h1>Rules</h1><ul>{items}</ul></article>".encode())
    assert all(document.text.count(f"Rule number {n} of") == 1 for n in range(40))


def test_entities_breaks_and_characters_of_no_width(parse):
    page = "<p>Donau&shy;dampf&#8203;schiff, super<wbr>calm &amp; &lt;s&gt; &eacute;<br>next &#x1F600; na&zwnj;me</p>"
    assert parse("a.html", page.encode())[0].text == "Donaudampfschiff, supercalm & <s> é\nnext 😀 na\u200cme"


def test_xhtml_with_namespaces_and_empty_elements(parse):
    page = f"""<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml" xmlns:m="urn:m">
    <head><title>T</title><script src="a.js"/></head>
    <body><p>First</p><script src="b.js"/><m:p>Second, in a name space of its own, with more than a few words</m:p>
    <iframe src="c"/><p>{LONG}</p></body></html>"""
    (document,) = parse("a.xhtml", page.encode())
    assert [words for words in ("First", "Second", LONG[:40]) if words not in document.text] == []


@pytest.mark.parametrize("charset", ["utf-8", "windows-1252", "iso-8859-2"])
def test_a_page_saved_with_its_images_as_mail_is_read_as_the_page(parse, charset):
    page = quopri.encodestring("<html><body><p>Größe = 5 m, größer als der Hafen</p></body></html>".encode(charset))
    head = "From: <Saved by a browser>\r\nSubject: =?utf-8?Q?Gr=C3=B6=C3=9Fe?=\r\nMIME-Version: 1.0\r\n"
    head += 'Content-Type: multipart/related;\r\n\tboundary="b"\r\n\r\n'
    parts = f"--b\r\nContent-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    image = b"\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"
    (document,) = parse("a.html", (head + parts).encode() + page + image)
    assert document.text == "Größe = 5 m, größer als der Hafen"


def test_a_page_that_writes_of_mail_is_no_mail(parse):
    assert "MIME-Version: 1.0" in parse("a.html", b"<p>The header MIME-Version: 1.0 is needed.</p>")[0].text
