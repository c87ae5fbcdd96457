"""Passages cover a text exactly, stay within the limit, and break words only where they must."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from lloco_core.retrieval.passages import split_passages

PIECES = {
    "prose": ["a", "tree", "stands", "there", "alone", ".", "! ", "? ", ") ", " ", " ", " ", "\n", "\n\n"],
    "no whitespace": ["a", "bc", "東京", ".", "!", "-", "🗼"],
    "long words": ["x" * 90, "y" * 350, "short", " ", " ", "\n", ". "],
    "blank lines": ["\n", "\n", "\n \t\n", "\n\n\n\n", "word", " ", "\r\n\r\n"],
    "only whitespace": [" ", "\n", "\t", "\u00a0", "\u2028"],
    "code": ["def f(x):\n", "    return x\n", "\n\n", "# a comment. With sentences.\n", '    """Doc."""\n'],
}


def random_texts(kind: str) -> Iterator[tuple[str, int]]:
    draw = random.Random(kind)
    for _ in range(60):
        yield "".join(draw.choices(PIECES[kind], k=draw.randint(1, 400))), draw.choice([50, 51, 64, 100, 333, 800])


@pytest.mark.parametrize("kind", PIECES)
def test_passages_cover_the_text(kind: str) -> None:
    for text, limit in random_texts(kind):
        passages = split_passages(text, limit)
        assert "".join(passage.text for passage in passages) == text
        assert [passage.index for passage in passages] == list(range(len(passages)))
        assert [passage.char_start for passage in passages] == [0, *(passage.char_end for passage in passages[:-1])]
        assert all(text[passage.char_start : passage.char_end] == passage.text for passage in passages)
        assert all(1 <= len(passage.text) <= limit for passage in passages)


@pytest.mark.parametrize("kind", PIECES)
def test_only_a_word_longer_than_a_passage_is_broken(kind: str) -> None:
    broken = 0
    for text, limit in random_texts(kind):
        words = [match.span() for match in re.finditer(r"\S+", text)]
        for cut in (passage.char_end for passage in split_passages(text, limit)):
            for start, end in words:
                if start < cut < end:
                    assert end - start > limit
                    broken += 1
    assert (broken > 0) == (kind in ("no whitespace", "long words"))


def test_a_long_word_after_a_short_one_stays_whole() -> None:
    word = "w" * 50
    assert [passage.text for passage in split_passages(f"To {word} end", 50)] == ["To ", word, " end"]
    broken = split_passages("To " + "w" * 60, 50)
    assert [len(passage.text) for passage in broken] == [50, 13]


def test_the_order_of_preference() -> None:
    blank = "One sentence. Two.\nA line.\n\nA paragraph follows. It is long.\nAnd more."
    assert split_passages(blank, 60)[0].text == "One sentence. Two.\nA line.\n\n"
    assert split_passages(blank.replace("\n\n", " "), 60)[0].text == "One sentence. Two.\nA line. A paragraph follows. It is long.\n"
    sentences = "One sentence (here.) Two and more words follow without end"
    assert split_passages(sentences, 50)[0].text == "One sentence (here.) "
    words = "one two three four five six seven eight nine ten eleven twelve"
    assert split_passages(words, 50)[0].text == "one two three four five six seven eight nine ten "


def test_a_blank_line_near_the_start_makes_no_tiny_passage() -> None:
    text = "Title\n\n" + "word " * 30
    assert len(split_passages(text, 100)[0].text) > 100 // 3


def test_short_and_empty_texts() -> None:
    assert split_passages("", 50) == []
    assert [passage.text for passage in split_passages("x" * 50, 50)] == ["x" * 50]
    assert [len(passage.text) for passage in split_passages("x" * 51, 50)] == [50, 1]


@pytest.mark.timeout(20)
def test_long_texts_without_a_good_cut_take_linear_time() -> None:
    for text in ("\n" * 500_000, " " * 500_000, "x" * 500_000, "\n \t" * 200_000, "." * 500_000):
        assert sum(len(passage.text) for passage in split_passages(text, 800)) == len(text)
