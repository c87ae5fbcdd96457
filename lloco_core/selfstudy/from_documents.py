"""Questions made from a document's own text by rule: no teacher, no labels, the same rows for the same seed.

Three kinds take turns: continue a passage, fill a blank with a rare word, recall the words after a short cue. All answers
stand in the text word for word (but for line breaks). A short document gives fewer rows than asked for. Called when
neither a question file nor a teacher is configured.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from lloco_core.fingerprint import digest
from lloco_core.types import Example

CONTINUATION = "Complete: {cue}"
"""Unquoted and at the end: of the wordings tried, the reference checkpoint continues from this one best."""
CLOZE = 'Which word fills the blank? "{sentence}"'
RECALL = 'Which words follow "{cue}"?'
BLANK = "____"

CUE_WORDS = 6
"""Words of the recall cue."""
RECALL_WORDS = 6
"""Words to recall."""
CONTINUATION_WORDS = 20
"""Upper bound of words to continue with."""
SENTENCE_WORDS = 40
"""Longer sentences are cut here before they are used."""

_ABBREVIATION = r"(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)(?<!\bMrs\.)"
_SENTENCE_END = re.compile(rf"(?:(?<=[.!?])|(?<=[.!?][\"'”’)])){_ABBREVIATION}\s+|(?<=[。！？])|\n\s*\n|\n(?![a-z])")
"""After a full stop, or at a line break unless the next line goes on in lower case (wrapped text)."""
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
"""A run between spaces; single characters in scripts that are written without spaces."""
_EDGE = "\"'“”‘’.,;:!?()[]{}«»…。、！？—-*_"


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    words: list[tuple[int, int]]
    """Character ranges in `text`."""

    def between(self, first: int, last: int) -> str:
        """Text of the words first..last-1 as written."""
        return self.text[self.words[first][0] : self.words[last - 1][1]]


def questions_from_document(doc_id: str, text: str, count: int, seed: int) -> list[Example]:
    """Make up to `count` different questions about a document."""
    rng = random.Random(digest([seed, doc_id]))  # noqa: S311 (reproducible, not secret)
    sentences = _sentences(text)
    frequency = Counter(_bare(sentence.between(i, i + 1)).lower() for sentence in sentences for i in range(len(sentence.words)))
    makers: list[Callable[[_Sentence], tuple[str, str] | None]] = [
        lambda sentence: _continuation(sentence, rng),
        lambda sentence: _cloze(sentence, frequency),
        lambda sentence: _recall(sentence, rng),
    ]
    queues = [rng.sample(sentences, len(sentences)) for _ in makers]
    found: dict[str, str] = {}
    while len(found) < count and any(queues):
        for make, queue in zip(makers, queues, strict=True):
            while queue and len(found) < count:
                row = make(queue.pop())
                if row and row[0] not in found:
                    found[row[0]] = row[1]
                    break
    return [Example(doc_id, question, answer) for question, answer in found.items()]


def _sentences(text: str) -> list[_Sentence]:
    """Different sentences of a text with at least four words."""
    unique = dict.fromkeys(" ".join(piece.split()) for piece in _SENTENCE_END.split(text))
    sentences = []
    for sentence in unique:
        words = [match.span() for match in _WORD.finditer(sentence)][:SENTENCE_WORDS]
        if len(words) >= 4:
            sentences.append(_Sentence(sentence[: words[-1][1]], words))
    return sentences


def _continuation(sentence: _Sentence, rng: random.Random) -> tuple[str, str] | None:
    n_words = len(sentence.words)
    if n_words < 6:
        return None
    cut = rng.randint(3, min(n_words - 3, 10))
    return CONTINUATION.format(cue=sentence.between(0, cut)), sentence.between(cut, min(n_words, cut + CONTINUATION_WORDS))


def _recall(sentence: _Sentence, rng: random.Random) -> tuple[str, str] | None:
    n_words = len(sentence.words)
    if n_words < CUE_WORDS + 2:
        return None
    start = rng.randint(0, n_words - CUE_WORDS - 2)
    middle = start + CUE_WORDS
    return RECALL.format(cue=sentence.between(start, middle)), sentence.between(middle, min(n_words, middle + RECALL_WORDS))


def _cloze(sentence: _Sentence, frequency: Counter[str]) -> tuple[str, str] | None:
    """Blank the sentence's rarest number, name, or long word."""
    candidates = []
    for index, (start, end) in enumerate(sentence.words):
        word = sentence.text[start:end]
        bare = _bare(word)
        name = index > 0 and bare[:1].isupper()
        number = any(character.isdigit() for character in bare)
        if number or name or len(bare) >= 5:
            candidates.append((frequency[bare.lower()], not number, not name, -len(bare), start + word.index(bare), bare))
    if not candidates:
        return None
    *_, start, bare = min(candidates)
    return CLOZE.format(sentence=sentence.text[:start] + BLANK + sentence.text[start + len(bare) :]), bare


def _bare(word: str) -> str:
    """A word without the punctuation around it; the word itself when it is nothing else."""
    return word.strip(_EDGE) or word
