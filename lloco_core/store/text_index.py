"""How passages are cut into words for full-text search. Lance keeps the options with the index and cuts questions the same way.

Words are found by ICU, which knows those of Chinese, Japanese, Thai, Lao, Khmer, and Burmese, and are then split at punctuation. It keeps
compounds whole, and Korean particles with their noun. So in a corpus that is Chinese, Japanese, or Korean every character and every pair
of them is a term: no part of a word is missed, but Latin words are ranked worse. Stop words stay in the index, because a word without
meaning in one language has one in another; `retrieval.text_query` leaves them out of questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lloco_core.languages import MULTILINGUAL, STEMMERS

if TYPE_CHECKING:
    import lance

_PAIRS = {"base_tokenizer": "ngram", "min_ngram_length": 1, "max_ngram_length": 2}
_IN_PAIRS = ("zh", "ja", "ko")
"""In their scripts two characters are a word or a good part of one."""
_MAX_TERM_BYTES = 200
"""Longer terms are not indexed. Lance's own 40 is less than a Thai or German compound has."""
_PLAIN = {"stem": False, "remove_stop_words": False, "max_token_length": _MAX_TERM_BYTES}
_MULTILINGUAL = _PLAIN | {"base_tokenizer": "icu/split", "language": "English", "stem": True}
"""English stemming leaves words of other languages findable: the question's words are stemmed the same way."""


def text_options(language: str = MULTILINGUAL) -> dict[str, Any]:
    """Options of the full-text index of a corpus in this language."""
    if language in _IN_PAIRS:
        return _PLAIN | _PAIRS
    if language == MULTILINGUAL:
        return _MULTILINGUAL
    return _MULTILINGUAL | {"language": STEMMERS.get(language, "English"), "stem": language in STEMMERS}


def stored_options(passages: lance.LanceDataset) -> dict[str, Any] | None:
    """Options of the index that the table has, or None without one."""
    found = next((index.details for index in passages.describe_indices() if index.field_names == ["text"]), None)
    names = ("base_tokenizer", "language", "stem", "remove_stop_words", "max_token_length", "min_ngram_length", "max_ngram_length")
    return None if found is None else {name: found[name] for name in names}


def has_pairs(passages: lance.LanceDataset) -> bool:
    """Whether the terms of the index are characters and pairs of them instead of words."""
    stored = stored_options(passages)
    return stored is not None and stored["base_tokenizer"] == _PAIRS["base_tokenizer"]


def options_to_build(passages: lance.LanceDataset, language: str | None) -> dict[str, Any] | None:
    """Options to build the index with, or None where it is as it should be. Without a language an index stays as it is."""
    stored = stored_options(passages)
    if stored is None:
        return text_options(language or MULTILINGUAL)
    wanted = text_options(language) if language else stored
    return None if wanted.items() <= stored.items() else wanted
