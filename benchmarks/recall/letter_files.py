"""Mails, web archives, e-books, and RTF, written byte by byte."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

from benchmarks.recall.cases import LANGUAGES, Case, sentences

_HEAD = "Subject Harbour fees From Ada Byron ada example org To Basil basil example org Date Mon 04 Mar 2024 10 00 00 0100"
_MAY_ADD = "Subject From To Date Cc MIME Version Content Type Email Attachments Attachment Message " * 3


def letter_files() -> Iterator[Case]:
    """All of them."""
    yield from _mails()
    yield from _archives()
    yield from _books()
    yield from _rich_texts()


def _mail(text: str, charset: str = "utf-8") -> EmailMessage:
    mail = EmailMessage(policy=policy.SMTP)
    mail["Subject"], mail["From"], mail["To"] = "Harbour fees", "Ada Byron <ada@example.org>", "Basil <basil@example.org>"
    mail["Date"] = "Mon, 04 Mar 2024 10:00:00 +0100"
    mail.set_content(text, charset=charset)
    return mail


def _mails() -> Iterator[Case]:
    text = " ".join(sentences(0, 4))
    yield Case("plain.eml", _mail(text).as_bytes(), f"{_HEAD} {text}", _MAY_ADD)
    for language, charset in (("cs", "windows-1250"), ("ru", "koi8-r"), ("ja", "iso-2022-jp")):
        mail = _mail(LANGUAGES[language], charset)
        yield Case(f"{charset}.eml", mail.as_bytes(), f"{_HEAD} {LANGUAGES[language]}", _MAY_ADD)
    both = _mail(text)
    both.add_alternative(f"<html><body><p>{text}</p></body></html>", subtype="html")
    both.add_attachment(bytes(3000), maintype="application", subtype="pdf", filename="invoice.pdf")
    yield Case("alternatives.eml", both.as_bytes(), f"{_HEAD} {text} invoice pdf", _MAY_ADD)
    page = _mail("x")
    page.set_content(f"<html><body><p>{LANGUAGES['de']}</p><div>{text}</div></body></html>", subtype="html", cte="quoted-printable")
    yield Case("html-only.eml", page.as_bytes(), f"{_HEAD} {LANGUAGES['de']} {text}", _MAY_ADD)
    outer = _mail(text)
    inner = _mail(LANGUAGES["fr"])
    outer.add_attachment(inner)
    yield Case("nested.eml", outer.as_bytes(), f"{_HEAD} {text} {_HEAD} {LANGUAGES['fr']}", _MAY_ADD)
    headers = _mail(text)
    del headers["Subject"]
    raw = headers.as_bytes().replace(b"From:", b"Subject: =?utf-8?B?" + base64.b64encode(LANGUAGES["el"][:40].encode()) + b"?=\r\nFrom:", 1)
    yield Case("encoded-words.eml", raw, f"{_HEAD.replace('Harbour fees', LANGUAGES['el'][:40])} {text}", _MAY_ADD)


def _archives() -> Iterator[Case]:
    text = " ".join(f"<p>{line}</p>" for line in [*sentences(0, 4), LANGUAGES["de"]])
    for name, encoded, coding in (
        ("chrome.mhtml", quopri.encodestring(f"<html><body><article>{text}</article></body></html>".encode()), b"quoted-printable"),
        ("word.mht", base64.encodebytes(f"<html><body><article>{text}</article></body></html>".encode()), b"base64"),
    ):
        page = b'Content-Type: text/html; charset="utf-8"\r\nContent-Transfer-Encoding: ' + coding + b"\r\n\r\n" + encoded
        picture = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(bytes(900))
        kind = b'MIME-Version: 1.0\r\nContent-Type: multipart/related; type="text/html"; boundary="b"\r\n\r\n'
        data = b"From: <Saved>\r\nSubject: Harbour page\r\n" + kind + b"--b\r\n" + page + b"\r\n--b\r\n" + picture + b"\r\n--b--\r\n"
        yield Case(name, data, " ".join([*sentences(0, 4), LANGUAGES["de"]]), "From Saved Subject Harbour page")


_CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="{}"/></rootfiles></container>'
)


def epub(chapters: dict[str, str], folder: str = "OEBPS", more: str = "", **parts: str) -> bytes:
    """A book with one page of XHTML per chapter."""
    items = "".join(f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in chapters)
    spine = "".join(f'<itemref idref="{name}"/>' for name in chapters)
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>Tales of the harbour</dc:title></metadata><manifest>{items}{more}</manifest><spine>{spine}</spine></package>"
    )
    saved = BytesIO()
    with ZipFile(saved, "w", ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", _CONTAINER.format(f"{folder}/book.opf"))
        archive.writestr(f"{folder}/book.opf", opf)
        for name, body in chapters.items():
            page = f'<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{body}</body></html>'
            archive.writestr(f"{folder}/{name}.xhtml", page)
        for name, part in parts.items():
            archive.writestr(name.replace("__", "/"), part)
    return saved.getvalue()


def _books() -> Iterator[Case]:
    may_add = "Title Tales of the harbour Authors Language Publisher Date Description Identifier"
    text = " ".join(sentences(0, 6))
    paragraphs = [f"<h1>Part {number}</h1><p>{line}</p>" for number, line in enumerate(sentences(0, 6))]
    known = " ".join(f"Part {number} {line}" for number, line in enumerate(sentences(0, 6)))
    yield Case("chapters.epub", epub({f"c{number}": page for number, page in enumerate(paragraphs)}), known, may_add)
    nav = '<item id="n" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
    contents = {"OEBPS__nav.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml"><body><nav>Contents of it</nav></body></html>'}
    yield Case("contents.epub", epub({"c1": f"<p>{text}</p>"}, more=nav, **contents), text, may_add)
    odd = f"<p>caf&eacute; &amp; bar&nbsp;here</p><aside>{LANGUAGES['fr']}</aside><table><tr><td>rope</td><td>4</td></tr></table>"
    yield Case("entities.epub", epub({"c1": odd}), f"café bar here {LANGUAGES['fr']} rope 4", may_add)
    yield Case(
        "upper.epub",
        epub({"Chapter One".replace(" ", ""): f"<section><p>{LANGUAGES['ja']}</p><p>{text}</p></section>"}),
        f"{LANGUAGES['ja']} {text}",
        may_add,
    )


def _rtf(body: str, head: str = r"\ansi\ansicpg1252") -> bytes:
    fonts = r"{\fonttbl{\f0\fswiss Arial;}{\f1\fcharset238 Arial CE;}{\f2\fcharset204 Arial Cyr;}{\f3\fcharset128 MS Mincho;}}"
    return (r"{\rtf1" + head + r"\deff0" + fonts + body + "}").encode("latin-1")


def _hexed(text: str, encoding: str) -> str:
    return "".join(rf"\'{byte:02x}" for byte in text.encode(encoding))


def _rich_texts() -> Iterator[Case]:
    lines = sentences(0, 5)
    yield Case("paragraphs.rtf", _rtf("".join(rf"\pard {line}\par" for line in lines)), " ".join(lines))
    yield Case("czech.rtf", _rtf(rf"\f1 {_hexed(LANGUAGES['cs'], 'cp1250')}\par"), LANGUAGES["cs"])
    yield Case("russian.rtf", _rtf(rf"\f2 {_hexed(LANGUAGES['ru'], 'cp1251')}\par"), LANGUAGES["ru"])
    yield Case("japanese.rtf", _rtf(rf"\f3 {_hexed(LANGUAGES['ja'], 'cp932')}\par"), LANGUAGES["ja"])
    coded = "".join(rf"\u{ord(letter)}?" for letter in LANGUAGES["el"])
    yield Case("unicode.rtf", _rtf(rf"\uc1 {coded}\par"), LANGUAGES["el"])
    table = r"\trowd\cellx1000\cellx2000 rope\cell 4.50\cell\row\trowd\cellx1000\cellx2000 tar\cell 12\cell\row"
    yield Case("table.rtf", _rtf(table), "rope 4.50 tar 12")
    note = rf"{lines[0]}{{\super\chftn}}{{\footnote\pard {{\super\chftn}} {lines[1]}}} {lines[2]}\par"
    yield Case("footnote.rtf", _rtf(note), f"{lines[0]} {lines[1]} {lines[2]}")
    odd = (
        rf"{{\header Page header}}{{\v secret words}}{{\field{{\*\fldinst HYPERLINK example}}{{\fldrslt {lines[3]}}}}}"
        rf"{{\pict\pngblip {'00' * 300}}}{{\shp{{\*\shpinst{{\sp{{\sn fLayout}}{{\sv 1}}}}{{\shptxt {lines[4]}\par}}}}}}\par"
    )
    yield Case("fields-and-boxes.rtf", _rtf(odd), f"{lines[3]} {lines[4]}", "Page header")
