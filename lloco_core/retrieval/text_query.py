"""From a question to a full-text query: stop words are left out, variants are added. Lance cuts and stems it as it did the passages."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import lancedb
from lancedb.query import BooleanQuery, FullTextQuery, MatchQuery, Occur

from lloco_core.languages import STEMMERS

_LANGUAGES = ("English", *sorted(set(STEMMERS.values()) - {"English"}))
_CERTAIN = 2
"""A question is taken for one of a language from so many of its stop words on: a single one may be a word of another language."""
_LETTERS = 2
"""Shorter words are left: the C of C++ is on a list, too."""
_IDEOGRAPH = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_HANGUL = re.compile(r"[\uac00-\ud7a3]+")
_POINTS = re.compile(r"[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652\u0670]")
"""Vowel points of Hebrew and Arabic, which most texts leave out, and the Arabic stretching mark."""
_ENDINGS = (
    "은 는 이 가 을 를 의 에 도 만 과 와 로 으로 라 나 이나 부터 까지 에서 에게 께 께서 한테 하고 보다 처럼 마다 조차 이다 입니다 인 "
    "에는 에도 에서는 에서도 에서의 에게는 으로는 로는 으로도 로도 까지는 부터는 들 들이 들은 들을 들의 "
    "하다 한다 하는 한 할 해 해서 해야 하여 하고 하며 했다 합니다 했습니다 되다 된다 되는 된 되어 되고 됩니다 되었다 되었습니다"
)
"""What a Korean noun ends in: particles, and the verbs that it becomes."""
_PARTICLES = tuple(_ENDINGS.split())
_KOREAN_WORDS = 40
"""Of a question that are given other endings; each becomes a hundred terms."""
_LESS = 0.3
"""Weight of guessed parts and endings beside the words themselves."""


def text_query(question: str, guess: bool = True) -> FullTextQuery:
    """Return the query for a question: any of its words and, with less weight, what they may be part of in a passage.

    Args:
        question: in words.
        guess: whether ideographs alone and in pairs, and Korean words with other endings, are searched for as well.
    """
    question = unicodedata.normalize("NFC", question)
    words = without_stop_words(question)
    variants = dict.fromkeys([words, unicodedata.normalize("NFKC", words), unicodedata.normalize("NFC", _POINTS.sub("", words))])
    guesses = [*_ideographs(words), *_korean_forms(words)] if guess else []
    queries = [MatchQuery(variant, "text") for variant in variants]
    if guesses:
        queries.append(MatchQuery(" ".join(dict.fromkeys(guesses)), "text", boost=_LESS))
    return queries[0] if len(queries) == 1 else BooleanQuery([(Occur.SHOULD, query) for query in queries])


def without_stop_words(question: str) -> str:
    """The question without the stop words of its language; as it is where it has none or nothing else."""
    words = question.split()
    language = max(_LANGUAGES, key=lambda name: sum(_is_stop_word(word, name) for word in words))
    kept = [word for word in words if not _is_stop_word(word, language)]
    return " ".join(kept) if kept and len(words) - len(kept) >= _CERTAIN else question


@cache
def _is_stop_word(word: str, language: str) -> bool:
    if sum(map(str.isalnum, word)) < _LETTERS:
        return False
    return not list(
        lancedb.tokenize(word, base_tokenizer="simple", language=language, stem=False, ascii_folding=False, max_token_length=None)
    )


def _ideographs(text: str) -> list[str]:
    """Single ones and pairs: in a passage ICU may have cut a word that it keeps whole in the question."""
    runs = [run for run in _IDEOGRAPH.findall(text) if len(run) > 1]
    return [run[start : start + size] for run in runs for size in (1, 2) for start in range(len(run) - size + 1) if size < len(run)]


def _korean_forms(text: str) -> list[str]:
    """Korean words without and with other particles than they have in the question."""
    words = list(dict.fromkeys(_HANGUL.findall(text)))[:_KOREAN_WORDS]
    stems = [stem for word in words for stem in _stems(word)]
    return [stem + particle for stem in stems for particle in ("", *_PARTICLES)]


def _stems(word: str) -> list[str]:
    endings = [particle for particle in _PARTICLES if word.endswith(particle) and len(word) > len(particle)]
    return [word, *(word.removesuffix(particle) for particle in endings)]
