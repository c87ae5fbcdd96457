"""QuALITY (Pang et al. 2022; github nyu-mll/quality): questions with four options about stories and articles.

Two layouts are read: one line with `question1`, `question1option1`, ... and the article as HTML lines, and the released one with a
list of questions. The second is not tested on the released files.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.example import Example, distinct
from lloco_core.evaluation.datasets.rows import Row, jsonl_rows

LETTERS = "ABCD"
_BLOCKS = ("p", "br", "hr", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "blockquote", "pre", "tr")
_BREAK = "\u2029"
"""Paragraph separator: occurs in no article."""


def load(path: Path) -> list[Example]:
    """Questions of a JSON-lines file, with the options after the question as lettered lines; the reference is the right letter.

    Raises:
        DatasetError: the file is missing or of another layout, or a question has no gold label (as in the test split).
    """
    return distinct((example for row in jsonl_rows(path) for example in _article(row)), path)


def _article(article: Row) -> Iterator[Example]:
    name = article.identity("article_id")
    lines = "".join(article.texts("article")) if isinstance(article.values.get("article"), list) else article.text("article")
    document = _plain(lines) if lines.lstrip().startswith("<") else lines
    for question_id, question, options, gold in _listed(article) if "questions" in article else _numbered(article):
        if len(options) != len(LETTERS) or not 1 <= gold <= len(LETTERS):
            raise DatasetError(f"{article.place}, {question_id}: {len(options)} options and gold label {gold}; expected 4 and 1 to 4")
        lettered = "".join(f"\n{letter}. {option.strip()}" for letter, option in zip(LETTERS, options, strict=True))
        yield Example(name, document, question_id, question.strip() + lettered, (LETTERS[gold - 1],), name, "choice")


def _numbered(article: Row) -> Iterator[tuple[str, str, list[str], int]]:
    for number in count(1):
        field = f"question{number}"
        if field not in article and number > 1:
            return
        options = [article.text(f"{field}option{order}") for order in range(1, len(LETTERS) + 1)]
        yield f"{article.text('unique_id')}_{number}", article.text(field), options, article.number(f"{field}_gold_label")


def _listed(article: Row) -> Iterator[tuple[str, str, list[str], int]]:
    for row in article.rows("questions"):
        yield row.text("question_unique_id"), row.text("question"), row.texts("options"), row.number("gold_label")


def _plain(page: str) -> str:
    """Text of an HTML page, a paragraph a line."""
    import lxml.html

    tree = lxml.html.document_fromstring(page.encode(), parser=lxml.html.HTMLParser(encoding="utf-8"))
    for element in tree.iter(*_BLOCKS):
        element.tail = _BREAK + (element.tail or "")
        if element.tag != "br":
            element.text = _BREAK + (element.text or "")
    paragraphs = (" ".join(part.split()) for part in tree.text_content().split(_BREAK))
    return "\n".join(paragraph for paragraph in paragraphs if paragraph)
