"""Mails and web archives. Run: pytest tests/unit/corpus/test_mails.py"""

from __future__ import annotations

import base64
import quopri
from email.message import EmailMessage

import pytest

from lloco_core.types import Document


def mail(build=lambda message: None, body: str = "Body words", **headers: str) -> bytes:
    message = EmailMessage()
    for name, value in {"Subject": "Fees", "From": "Ada <ada@x.org>", "Date": "Mon, 04 Mar 2024 10:00:00 +0100", **headers}.items():
        message[name] = value
    message.set_content(body)
    build(message)
    return message.as_bytes()


def part(head: bytes, body: bytes) -> bytes:
    return b"From: a@x.org\r\nMIME-Version: 1.0\r\n" + head + b"\r\n\r\n" + body


HEAD = "Subject: Fees\nFrom: Ada <ada@x.org>\nDate: Mon, 04 Mar 2024 10:00:00 +0100\n\n"


def test_headers_and_plain_text(parse):
    (document,) = parse("a.eml", mail(To="Jiří Novák <j@x.org>"))
    assert document.text == HEAD.replace("Date", "To: Jiří Novák <j@x.org>\nDate") + "Body words\n"
    assert (document.title, document.media_type) == ("Fees", "message/rfc822")


def test_alternatives_attachments_and_messages_within(parse):
    def build(message):
        message.add_alternative("<p>Body <b>words</b></p>", subtype="html")
        message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="účet.pdf")
        message.add_attachment("line of the file", filename="notes.txt")
        inner = EmailMessage()
        inner["Subject"] = "Inner"
        inner.set_content("inner words")
        message.add_attachment(inner)

    text = parse("a.eml", mail(build))[0].text
    assert text.count("Body") == 1
    assert "Attachment: účet.pdf" in text
    assert "Attachment: notes.txt\nline of the file" in text
    assert text.endswith("Subject: Inner\n\ninner words\n")


def test_html_is_read_where_the_plain_text_is_a_notice(parse):
    page = "<html><head><style>p {}</style></head><body>" + "".join(f"<p>Paragraph {n} of it</p>" for n in range(20)) + "</body></html>"
    text = parse("a.eml", mail(lambda message: message.add_alternative(page, subtype="html"), "Your program shows no HTML."))[0].text
    assert "Paragraph 19 of it" in text
    assert "p {}" not in text


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        (
            b"Content-Type: text/plain; charset=windows-1250\r\nContent-Transfer-Encoding: 8bit",
            "Příliš žluťoučký kůň".encode("cp1250"),
            "Příliš žluťoučký kůň",
        ),
        (b"Content-Type: text/plain; charset=us-ascii", "Příliš žluťoučký kůň".encode(), "Příliš žluťoučký kůň"),
        (b"Content-Type: text/plain; charset=no-such", "Größe".encode(), "Größe"),
        (b"Content-Type: text/plain; charset=iso-2022-jp", "港の管理者".encode("iso-2022-jp"), "港の管理者"),
        (
            b"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64",
            base64.b64encode("Größe".encode("utf-16")),
            "Größe",
        ),
        (b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64", b"SGFyYm91ciBnYXRl!!\r\nIHdvcmRz", "Harbour gate words"),
        (b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable", b"caf=C3=A9 =\r\nbar", "café bar"),
        (b"Content-Type: text/html", b"<table><tr><td>rope</td><td>4</td></tr></table><p>end<br>last", "rope\t4\nend\nlast"),
        (b"Content-Type: multipart/mixed; boundary=b", b"--b\r\n\r\nnever closed", "never closed"),
    ],
)
def test_bodies_in_every_dress(parse, head, body, text):
    (document,) = parse("a.eml", part(head, body))
    assert document.text.partition("\n\n")[2].strip() == text


@pytest.mark.parametrize(
    ("subject", "title"),
    [
        (b"=?utf-8?Q?P=C5=99=C3=ADstav?= today", "Přístav today"),
        (b"=?utf-8?B?UMWZ?=\r\n =?utf-8?B?w61zdGF2?=", "Přístav"),
        (b"=?koi8-r?B?8NLJ18XU?=", "Привет"),
        ("Přístav".encode(), "Přístav"),
        (b"=?nonsense?X?abc?=", "=?nonsense?X?abc?="),
        (b"=?unknown-charset?B?aGVsbG8=?=", "hello"),
        (b"folded\r\n subject", "folded subject"),
    ],
)
def test_subjects(parse, subject, title):
    assert parse("a.eml", b"Subject: " + subject + b"\r\n\r\nbody")[0].title == title


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no header at all, only words", "file_damaged"),
        (b"12345\n\n", "file_damaged"),
        (part(b"Content-Type: application/pkcs7-mime; name=smime.p7m", b"MIAG"), "file_encrypted"),
        (part(b"Content-Type: multipart/encrypted; boundary=b", b"--b\r\n\r\nx\r\n--b--"), "file_encrypted"),
    ],
)
def test_what_is_no_readable_mail_is_one_rejection(parse, data, code):
    assert [found.code for found in parse("a.eml", data) if not isinstance(found, Document)] == [code]


def test_deeply_nested_messages_end(parse):
    data = b"From: a\r\n\r\nlast"
    for _ in range(120):
        data = b"From: a\r\nContent-Type: message/rfc822\r\n\r\n" + data
    (found,) = parse("a.eml", data)
    assert found.code == "file_damaged"


ARCHIVE = (
    b"From: <Saved>\r\nSubject: Harbour\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"<html><head><meta charset=3Diso-8859-1></head><body><p>P=C5=99=C3=ADstav opens</p></body></html>\r\n"
    b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"
)


@pytest.mark.parametrize("name", ["a.mht", "a.mhtml", "a.html", "a.doc"])
def test_a_web_archive_is_its_page_whatever_its_suffix(parse, name):
    (document,) = parse(name, ARCHIVE)
    assert (document.text, document.title, document.media_type) == ("Přístav opens", "Harbour", "multipart/related")


@pytest.mark.parametrize(
    ("encoding", "text"), [("windows-1257", "Ąžuolas ir eglė"), ("windows-1251", "Ёж и уж"), ("iso-8859-2", "Žluťoučký kůň")]
)
def test_a_page_without_a_charset_in_its_header_is_read_as_it_declares(parse, encoding, text):
    page = f'<html><head><meta charset="{encoding}"></head><body><p>{text}</p></body></html>'.encode(encoding)
    (document,) = parse("a.eml", b"Subject: x\nMIME-Version: 1.0\nContent-Type: text/html\nContent-Transfer-Encoding: 8bit\n\n" + page)
    assert document.text.endswith(text)


@pytest.mark.parametrize("kind", ["multipart/mixed", "multipart/alternative", "multipart/related"])
def test_a_mail_whose_parts_cannot_be_told_apart_is_not_stored_without_them(parse, kind):
    body = b"--other\r\nContent-Type: text/plain\r\n\r\nLost words\r\n--other--\r\n"
    (rejection,) = parse("a.eml", part(f'Content-Type: {kind}; boundary="named"'.encode(), body))
    assert (rejection.code, "boundary" in rejection.message) == ("file_damaged", True)
    (document,) = parse("a.eml", part(f'Subject: None\r\nContent-Type: {kind}; boundary="named"'.encode(), b"\r\n"))
    assert "Subject: None" in document.text


def test_a_mail_with_its_text_in_winmail_dat_alone_is_rejected(parse):
    inside = b'Content-Type: application/ms-tnef; name="winmail.dat"\r\nContent-Transfer-Encoding: base64\r\n\r\neJ8+IgAA\r\n'
    several = b'Content-Type: multipart/mixed; boundary="b"'
    for text in (b"", b"--b\r\nContent-Type: text/plain\r\n\r\n \r\n"):
        (rejection,) = parse("a.eml", part(several, text + b"--b\r\n" + inside + b"--b--\r\n"))
        assert (rejection.code, "winmail.dat" in rejection.message) == ("unknown_format", True)
    (document,) = parse("a.eml", part(several, b"--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\n" + inside + b"--b--\r\n"))
    assert document.text.endswith("Hello\nAttachment: winmail.dat")


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("base64", base64.encodebytes), ("BASE64", base64.b64encode), ("quoted-printable", quopri.encodestring), ("8bit", bytes)],
)
def test_a_message_within_that_is_encoded_as_a_whole(parse, encoding, encode):
    inner = encode("Subject: Inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGröße = 5\r\n".encode())
    head = f"--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    (document,) = parse("a.eml", part(b'Content-Type: multipart/mixed; boundary="b"', head + inner + b"\r\n--b--\r\n"))
    assert document.text.rstrip().endswith("Subject: Inner\n\nGröße = 5")
